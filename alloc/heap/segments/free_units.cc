#include "alloc/heap/segments/free_units.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"

namespace morsel::alloc {
namespace {

/// Units of a word that lie at multiples of 2^k.
constexpr uint64_t kMultiples[] = {
    ~uint64_t{0},
    0x5555'5555'5555'5555,
    0x1111'1111'1111'1111,
    0x0101'0101'0101'0101,
    0x0001'0001'0001'0001,
    0x0000'0001'0000'0001,
    1,
};

// Bit i: 2^order free units begin at unit i, which is a multiple of 2^order.
uint64_t AlignedIn(uint64_t free, unsigned order) {
  for (unsigned k = 0; k < order; ++k) free &= free >> (uint64_t{1} << k);
  return free & kMultiples[order];
}

// Bit i: at least `count` free units begin at unit i. Units: count: 1 .. 64.
uint64_t HolesIn(uint64_t free, uint64_t count) {
  for (uint64_t have = 1; have < count;) {
    const uint64_t step = std::min(have, count - have);
    free &= free >> step;
    have += step;
  }
  return free;
}

}  // namespace

FreeUnits::FreeUnits() {
  // The nodes of a level are alike, and their numbers follow each other.
  uint64_t units = kUnitsPerRegion;
  for (uint64_t first = 1; first <= kWords; first *= 2, units /= 2) {
    std::fill_n(nodes_.begin() + first, first, AllFree(units));
  }
}

FreeUnits::Node FreeUnits::AllFree(uint64_t units) {
  const auto all = static_cast<uint16_t>(units);
  return {all, all, all, (1u << (kOrderMax + 1)) - 1};
}

FreeUnits::Node FreeUnits::LeafOf(uint64_t used) {
  // Most words of a region are one of these.
  if (used == 0) return AllFree(64);
  if (used == ~uint64_t{0}) return {};
  Node node{};
  node.prefix = static_cast<uint16_t>(std::countr_zero(used));
  node.suffix = static_cast<uint16_t>(std::countl_zero(used));
  uint64_t longest = 0;
  for (uint64_t free = ~used; free != 0; free &= free >> 1) ++longest;
  node.longest = static_cast<uint16_t>(longest);
  uint64_t free = ~used;
  for (unsigned order = 0; (free & kMultiples[order]) != 0; ++order) {
    node.orders |= static_cast<uint16_t>(1u << order);
    free &= free >> (uint64_t{1} << order);
  }
  return node;
}

FreeUnits::Node FreeUnits::Join(const Node& left, const Node& right, uint64_t units_each) {
  const auto units = [](uint64_t count) { return static_cast<uint16_t>(count); };
  Node node{};
  node.prefix = left.prefix == units_each ? units(units_each + right.prefix) : left.prefix;
  node.suffix = right.suffix == units_each ? units(units_each + left.suffix) : right.suffix;
  node.longest = std::max({left.longest, right.longest, units(left.suffix + right.prefix)});
  node.orders = left.orders | right.orders;
  return node;
}

void FreeUnits::Index(uint64_t first_word, uint64_t last_word) {
  for (uint64_t word = first_word; word <= last_word; ++word) {
    nodes_[kWords + word] = LeafOf(used_[word]);
  }
  uint64_t units_each = 64;
  for (uint64_t first = (kWords + first_word) / 2, last = (kWords + last_word) / 2; first > 0;
       first /= 2, last /= 2, units_each *= 2) {
    for (uint64_t node = first; node <= last; ++node) {
      nodes_[node] = Join(nodes_[2 * node], nodes_[2 * node + 1], units_each);
    }
  }
}

uint64_t FreeUnits::FirstUsed(uint64_t begin, uint64_t end) const {
  return NextBit(used_.data(), begin, end, true);
}

void FreeUnits::Mark(uint64_t begin, uint64_t end, bool used) {
  if (begin == end) return;
  ForEachWord(begin, end, [&](uint64_t word, uint64_t mask) {
    used_[word] = used ? used_[word] | mask : used_[word] & ~mask;
  });
  Index(begin / 64, (end - 1) / 64);
}

// Goes through the nodes that cover the rest of the region, the largest that begin where the last
// one has ended, with the length of the free run that ends there. It goes down where the run, or
// one inside the node, is long enough.
FreeUnits::Hole FreeUnits::Find(uint64_t from, uint64_t count, uint64_t before,
                                uint64_t& nodes_read) const {
  uint64_t at = from;     // what lies before is known to have no such run
  uint64_t run = before;  // how many units right before `at` are free
  if (at % 64 != 0) {
    const uint64_t masked = used_[at / 64] | ((uint64_t{1} << (at % 64)) - 1);
    ++nodes_read;
    if (const uint64_t runs = count <= 64 ? HolesIn(~masked, count) : 0; runs != 0) {
      return {true, 0, at / 64 * 64 + static_cast<uint64_t>(std::countr_zero(runs))};
    }
    run = static_cast<uint64_t>(std::countl_zero(masked));
    at = at / 64 * 64 + 64;
  }
  const auto found_at = [&](uint64_t begin, uint64_t run_before) -> Hole {
    if (run_before > begin) return {true, run_before - begin, 0};
    return {true, 0, begin - run_before};
  };
  while (at < kUnitsPerRegion) {
    uint64_t node = kWords + at / 64;
    uint64_t units = 64;
    while (node % 2 == 0 && node > 1) {
      node /= 2;
      units *= 2;
    }
    ++nodes_read;
    // A child that has no such run is passed over as a whole.
    while (run + nodes_[node].prefix < count && nodes_[node].longest >= count && node < kWords) {
      ++nodes_read;
      node *= 2;
      units /= 2;
    }
    if (run + nodes_[node].prefix >= count) return found_at(at, run);
    if (nodes_[node].longest >= count) {  // a leaf
      const uint64_t runs = HolesIn(~used_[at / 64], count);
      return {true, 0, at + static_cast<uint64_t>(std::countr_zero(runs))};
    }
    run = nodes_[node].prefix == units ? run + units : nodes_[node].suffix;
    at += units;
  }
  return {false, run, 0};
}

std::optional<uint64_t> FreeUnits::FindAligned(unsigned order, uint64_t& nodes_read) const {
  const auto has = [&](uint64_t node) { return (nodes_[node].orders >> order & 1) != 0; };
  ++nodes_read;
  if (!has(1)) return std::nullopt;
  uint64_t node = 1;
  while (node < kWords) {
    ++nodes_read;
    node *= 2;
    if (!has(node)) ++node;
  }
  const uint64_t word = node - kWords;
  const uint64_t begins = AlignedIn(~used_[word], order);
  return word * 64 + static_cast<uint64_t>(std::countr_zero(begins));
}

}  // namespace morsel::alloc
