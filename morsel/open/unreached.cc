#include "morsel/open/unreached.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "alloc/heap/guard/memory_marks.h"
#include "base/bits.h"
#include "base/units.h"
#include "morsel/open/open_morsel.h"

namespace morsel {
namespace {

class Reach {
 public:
  Reach(uint64_t base, uint64_t size_bytes)
      : base_(base), begins_(DivideUp(size_bytes, kPageBytes) + 1) {}

  /// In the order of addresses.
  void AddBlock(char* block, uint64_t bytes) { blocks_.push_back({block, bytes}); }
  void AllAreAdded() {
    // begins_[page] is how many blocks begin before the page does.
    for (const Block& block : blocks_) ++begins_[PageOf(AddressOf(block)) + 1];
    for (size_t page = 1; page < begins_.size(); ++page) begins_[page] += begins_[page - 1];
  }

  /// Marks the block that `word` lies in, if there is one, and all that it leads to.
  void Mark(uint64_t word) {
    Meet(word);
    while (!to_read_.empty()) {
      const size_t block = to_read_.back();
      to_read_.pop_back();
      Read(block);
    }
  }

  /// What was not marked until now.
  Unreached Rest() && {
    Unreached found;
    std::vector<size_t> unreached;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      found.live_bytes += blocks_[i].bytes;
      if (!blocks_[i].is_marked) unreached.push_back(i);
    }
    found.live_blocks = blocks_.size();
    for (const size_t i : unreached) NoteLeads(i);
    std::vector<UnreachedBlock> groups(unreached.size());
    // Where nothing leads to, and then what is left of rings.
    for (const bool is_ring : {false, true}) {
      for (size_t i = 0; i < unreached.size(); ++i) {
        const Block& block = blocks_[unreached[i]];
        if (block.is_marked || (!is_ring && block.is_led_to)) continue;
        marked_blocks_ = marked_bytes_ = 0;
        Mark(AddressOf(block));
        groups[i].is_first = true;
        groups[i].group_blocks = marked_blocks_;
        groups[i].group_bytes = marked_bytes_;
      }
    }
    for (size_t i = 0; i < unreached.size(); ++i) {
      groups[i].block = blocks_[unreached[i]].begin;
      groups[i].bytes = blocks_[unreached[i]].bytes;
      found.bytes += groups[i].bytes;
    }
    found.blocks = std::move(groups);
    return found;
  }

 private:
  struct Block {
    char* begin;
    uint64_t bytes;
    bool is_marked = false;
    bool is_led_to = false;  ///< by another one that is not marked
  };
  static constexpr size_t kNone = SIZE_MAX;

  static uint64_t AddressOf(const Block& block) { return reinterpret_cast<uint64_t>(block.begin); }
  size_t PageOf(uint64_t address) const { return (address - base_) / kPageBytes; }

  // The number of the block that the address lies in.
  size_t BlockOf(uint64_t address) const {
    if (address < base_ || PageOf(address) + 1 >= begins_.size()) return kNone;
    const auto first = blocks_.begin() + static_cast<ptrdiff_t>(begins_[PageOf(address)]);
    const auto end = blocks_.begin() + static_cast<ptrdiff_t>(begins_[PageOf(address) + 1]);
    const auto after = std::upper_bound(
        first, end, address, [](uint64_t at, const Block& one) { return at < AddressOf(one); });
    if (after == blocks_.begin()) return kNone;
    const Block& before = *std::prev(after);
    if (address - AddressOf(before) >= before.bytes) return kNone;
    return static_cast<size_t>(std::prev(after) - blocks_.begin());
  }

  void Meet(uint64_t word) {
    const size_t number = BlockOf(word);
    if (number == kNone || blocks_[number].is_marked) return;
    blocks_[number].is_marked = true;
    ++marked_blocks_;
    marked_bytes_ += blocks_[number].bytes;
    to_read_.push_back(number);
  }

  // Another thread of the program may store there meanwhile.
  [[gnu::no_sanitize_address]] static uint64_t WordAt(char* at) {
    return std::atomic_ref(*reinterpret_cast<uint64_t*>(at)).load(std::memory_order_relaxed);
  }

  void Read(size_t number) {
    const Block block = blocks_[number];
    for (uint64_t at = 0; at + sizeof(uint64_t) <= block.bytes; at += sizeof(uint64_t)) {
      Meet(WordAt(block.begin + at));
    }
  }

  void NoteLeads(size_t from) {
    const Block block = blocks_[from];
    for (uint64_t at = 0; at + sizeof(uint64_t) <= block.bytes; at += sizeof(uint64_t)) {
      const size_t to = BlockOf(WordAt(block.begin + at));
      if (to != kNone && to != from) blocks_[to].is_led_to = true;
    }
  }

  uint64_t base_;
  std::vector<Block> blocks_;
  std::vector<uint64_t> begins_;
  std::vector<size_t> to_read_;
  uint64_t marked_blocks_ = 0;
  uint64_t marked_bytes_ = 0;
};

}  // namespace

Result<Unreached> FindUnreached(OpenMorsel& morsel) {
  return morsel.WhileStopped(
      [&](const alloc::StoppedWorld& stopped, const Roots& roots) -> Result<Unreached> {
        const Result<std::vector<Roots::Root>> all = roots.All();
        if (!all) return all.status();
        const alloc::ReportsAreOff quiet;
        Reach reach(morsel.record().base, morsel.size_bytes());
        MORSEL_TRY(morsel.ForEachBlock(stopped, [&](char* block, uint64_t bytes) {
          reach.AddBlock(block, bytes);
          return true;
        }));
        reach.AllAreAdded();
        for (const Roots::Root& root : *all) reach.Mark(reinterpret_cast<uint64_t>(root.object));
        return std::move(reach).Rest();
      });
}

}  // namespace morsel
