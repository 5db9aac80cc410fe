// How a heap is opened.
//
//   state    contract   what Open() does
//   clean    fine       publishes "in use" before anything else changes
//   in use   fine       the same; and nothing that is read counts as durable: each
//                       region and slab is made durable when it is first touched
//   either   snapshot   nothing: the image was written as a whole
//   else     any        kCorrupt
//
// Read-only, it stores nothing.
#include "alloc/heap/heap.h"

#include <cinttypes>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"
#include "base/checksum.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

Status Damaged(const HeapPlace& place, const char* what) {
  return Fail(Code::kCorrupt, "the heap at %p: %s; restore the morsel from a copy", place.base,
              what);
}

Status CheckHeader(const HeapPlace& place, const HeapHeader& header) {
  if (header.magic != kHeapMagic) return Damaged(place, "no heap begins there (wrong magic)");
  if (header.version != kHeapVersion && header.version != kHeapVersionOfTables) {
    return Fail(Code::kVersion,
                "the heap at %p has format version %u, this library knows %u and %u; use %s one",
                place.base, header.version, kHeapVersionOfTables, kHeapVersion,
                header.version > kHeapVersion ? "a newer" : "an older");
  }
  if (header.checksum != HeaderSum(header)) return Damaged(place, "its header's checksum is wrong");
  if (header.unit_bytes != kUnitBytes || header.base != reinterpret_cast<uint64_t>(place.base) ||
      header.capacity_bytes != place.capacity_bytes ||
      std::memcmp(header.id, place.id.data(), place.id.size()) != 0) {
    return Damaged(place, "its header belongs to another morsel");
  }
  const HeapGeometry geometry = GeometryOf(header.capacity_bytes, header.root_table_bytes);
  if (header.root_table_bytes > kSubtreeBytes / 2 ||
      header.root_table_offset != geometry.root_table_offset ||
      header.directory_offset != geometry.directory_offset ||
      header.map_offset != geometry.map_offset ||
      header.first_unit != geometry.first_unit.value()) {
    return Damaged(place, "its header's offsets are not those of its capacity");
  }
  if (header.state != kHeapClean && header.state != kHeapInUse) {
    return Damaged(place, "its state is neither clean nor in use");
  }
  if (place.size_bytes > place.capacity_bytes || place.size_bytes % kSubtreeBytes != 0 ||
      place.size_bytes / kUnitBytes < geometry.first_unit.value()) {
    return Damaged(place, "its size is not one that it can have");
  }
  return Code::kOk;
}

}  // namespace

Heap::Heap(const HeapPlace& place, pmem::Persist persist, bool fine, bool read_only, bool unclean,
           FreeBudget budget)
    : facts_{static_cast<HeapHeader*>(place.base), persist, fine, read_only},
      units_(facts_.header, place.size_bytes, persist, read_only, unclean),
      parts_(this, mutex_, table_, units_, central_, {persist, fine, unclean, budget}),
      known_(facts_, units_, table_, central_, unclean),
      host_(place.frames, units_, mutex_),
      live_(units_, parts_, extents_, walk_, unclean ? std::nullopt : place.live_bytes) {
  if (place.is_new) units_.NothingWasUsed();
  if (!place.guarded) return;
  guarded_ = std::make_unique<GuardedBlocks>(plain_);
  calls_ = guarded_.get();
  parts_.BeGuarded();
}

Heap::~Heap() = default;

Result<std::unique_ptr<Heap>> Heap::Open(const HeapPlace& place, pmem::Persist persist, bool fine,
                                         bool read_only, FreeBudget budget) {
  HeapHeader* const header = static_cast<HeapHeader*>(place.base);
  MORSEL_TRY(CheckHeader(place, *header));
  const bool unclean = fine && header->state != kHeapClean;
  std::unique_ptr<Heap> heap(new (std::nothrow)
                                 Heap(place, persist, fine, read_only, unclean, budget));
  if (heap == nullptr) return Fail(Code::kNoMemory, "no memory for the heap at %p", place.base);
  MORSEL_TRY(heap->table_.Reserve(place.base, place.capacity_bytes));
  if (fine && !read_only) {
    if (unclean) {
      // ORDER  directory and roots, flushed here and fenced below  <  anything new
      // WHY    what was stored before a kill is visible, but may not be durable.   [HEAP-6]
      // CRASH  before: the heap is as it was found, or older.
      // TEST   alloc/heap/heap_crash_test: KillThenPowerCutOfADirectoryWord
      persist.Flush(header, header->map_offset);
      // Whoever changes roots says first which word of theirs changes.
      // ORDER  that word, flushed here and fenced below  <  anything new
      // WHY    whatever it led to before is free, or will be soon.                 [ROOT-2]
      // CRASH  before: the root is the one that was found, or the one before that.
      // TEST   morsel/roots/root_trie_crash_test: KillThenPowerCut
      const uint64_t root_change = pmem::Load(&header->root_change);
      if (root_change >= header->map_offset &&
          Within(root_change, sizeof(uint64_t), place.size_bytes)) {
        persist.Flush(reinterpret_cast<char*>(header) + root_change, sizeof(uint64_t));
      }
    }
    // This comes before the first store that a kill could leave visible and not durable. Recovery
    // from a power cut does not need the word, because all that a power cut leaves is durable. The
    // word is flushed for whoever looks at the medium after a power cut.
    persist.Publish(&header->state, kHeapInUse);
  }
  return heap;
}

void Heap::set_key(const void* key) {
  const std::lock_guard lock(mutex_);
  parts_.set_key(key);
}

HeapWork Heap::work() {
  const std::lock_guard lock(mutex_);
  return {parts_.gates_closed(), live_.slabs_counted(), recall_.slabs_searched(),
          known_.heads_read()};
}

}  // namespace morsel::alloc
