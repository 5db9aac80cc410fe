// A predicate for each invariant of a carved pool. They read what is on the medium now, and not
// what the open pool has in memory.
#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <map>

#include "base/bits.h"
#include "morsel/carved/carved_pool_metadata.h"
#include "morsel/carved/carved_pool_superblock.h"

namespace morsel {
namespace {

using Messages = std::vector<std::string>;

// [POOL-1]
void SuperblocksAreWhole(const char* memory, Messages& found) {
  if (SuperblocksAgree(memory)) return;
  found.push_back(
      "one of the two superblocks (offsets 0 and 4096) is damaged or says something else; the pool "
      "works by the other, save it [POOL-1]");
}

// [POOL-3]
void UseIsKnown(const PoolUse& use, Messages& found) {
  if (use.in_use <= 1) return;
  found.push_back("the word that says whether the pool is in use is neither 0 nor 1 [POOL-3]");
}

// [J-1]
void JournalIsIdle(const pmem::Journal& journal, Messages& found) {
  const Result<bool> pending = journal.IsPending();
  if (!pending.has_value()) {
    found.push_back("the journal cannot be what a crash left [J-1]");
  } else if (*pending) {
    found.push_back("the journal has a record that is not applied [J-2]");
  }
}

// [POOL-6], but for names, which the catalog compares.
void IdsAndRangesAreApart(const Catalog& catalog, Messages& found) {
  std::map<Id, std::string> ids;
  std::map<uint64_t, std::pair<uint64_t, std::string>> ranges;
  for (const SlotIndex slot : catalog.List()) {
    const CatalogRecord record = catalog.record(slot);
    const auto [same, is_new] = ids.emplace(record.id, record.name);
    if (!is_new) {
      found.push_back("morsels '" + same->second + "' and '" + record.name +
                      "' have the same id [POOL-6]");
    }
    const uint64_t end = record.base + RangeBytes(record.capacity_bytes);
    const auto next = ranges.lower_bound(record.base);
    std::string meets;
    if (next != ranges.end() && next->first < end) meets = next->second.second;
    if (next != ranges.begin() && std::prev(next)->second.first > record.base) {
      meets = std::prev(next)->second.second;
    }
    if (!meets.empty()) {
      found.push_back("the address ranges of morsels '" + meets + "' and '" + record.name +
                      "' meet [POOL-6]");
    }
    ranges.emplace(record.base, std::pair(end, record.name));
  }
}

}  // namespace

std::vector<std::string> CarvedMetadata::Validate() {
  Messages found;
  SuperblocksAreWhole(memory_, found);
  UseIsKnown(*use(), found);
  JournalIsIdle(journal_, found);
  // [POOL-4] [POOL-5], names of [POOL-6]
  Catalog catalog(reinterpret_cast<CatalogSlot*>(memory_ + superblock_.catalog_offset),
                  superblock_.slot_count, {superblock_.window_begin, superblock_.window_end},
                  &journal_, persist_, subject_);
  catalog.Load();
  found.insert(found.end(), catalog.findings().begin(), catalog.findings().end());
  IdsAndRangesAreApart(catalog, found);
  // [S-3] [S-4] [S-6]
  const uint64_t to_giant = AlignUp(superblock_.data_offset, kGiantBytes) - superblock_.data_offset;
  alloc::SubtreeMap map(reinterpret_cast<uint64_t*>(memory_ + superblock_.map_offset),
                        superblock_.subtree_count, to_giant / kSubtreeBytes, persist_, subject_);
  map.Load(catalog.Owners(), alloc::SubtreeMap::Access::kRead);
  found.insert(found.end(), map.findings().begin(), map.findings().end());
  return found;
}

}  // namespace morsel
