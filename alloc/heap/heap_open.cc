// How a heap is formatted, opened and shrunk.
//
//   state    contract   what Open() does
//   clean    fine       publishes "in use" before anything else changes
//   in use   fine       the same; and nothing that is read counts as durable: each
//                       region and slab is made durable when it is first touched
//   either   snapshot   nothing: the image was written as a whole
//   else     any        kCorrupt
//
// Read-only, it stores nothing.
#include <cinttypes>
#include <cstring>

#include "alloc/heap/heap.h"
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

void Heap::Format(const HeapPlace& place, uint64_t root_table_bytes, pmem::Persist persist) {
  const HeapGeometry geometry = GeometryOf(place.capacity_bytes, root_table_bytes);
  MORSEL_CHECK(geometry.first_unit.value() * kUnitBytes <= place.size_bytes);
  HeapHeader header{};
  header.magic = kHeapMagic;
  header.version = kHeapVersion;
  header.unit_bytes = kUnitBytes;
  std::memcpy(header.id, place.id.data(), place.id.size());
  header.base = reinterpret_cast<uint64_t>(place.base);
  header.capacity_bytes = place.capacity_bytes;
  header.root_table_offset = geometry.root_table_offset;
  header.root_table_bytes = root_table_bytes;
  header.directory_offset = geometry.directory_offset;
  header.map_offset = geometry.map_offset;
  header.first_unit = geometry.first_unit.value();
  header.checksum = HeaderSum(header);
  header.state = kHeapClean;
  std::memcpy(place.base, &header, sizeof header);
  // The rest of the prefix was zero before. Flushing makes the zeroes durable.
  persist.Range(place.base, geometry.first_unit.value() * kUnitBytes);
}

Heap::Heap(const HeapPlace& place, pmem::Persist persist, bool fine, bool read_only, bool unclean,
           FreeBudget budget)
    : header_(static_cast<HeapHeader*>(place.base)),
      persist_(persist),
      fine_(fine),
      read_only_(read_only),
      unclean_(unclean),
      units_(header_, place.size_bytes, persist, read_only, unclean),
      parts_(this, mutex_, segments_, units_, central_, {persist, fine, unclean, budget}),
      growth_(*header_, units_) {}

void Heap::BeGuarded() {
  // This empties the slots.
  const StoppedWorld stopped = StopTheWorld();
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
  MORSEL_TRY(heap->segments_.Reserve(place.base, place.capacity_bytes));
  if (place.is_new) heap->units_.NothingWasUsed();
  if (place.live_bytes && !unclean) heap->live_bytes_ = static_cast<int64_t>(*place.live_bytes);
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

void Heap::LeaveTables() {
  if (header_->version == kHeapVersion) return;
  HeapHeader header = *header_;
  header.version = kHeapVersion;
  uint64_t word = 0;
  std::memcpy(&word, &header.version, sizeof word);
  // The word has unit_bytes, too, which stay.
  persist_.Publish(reinterpret_cast<uint64_t*>(&header_->version), word);
}

void* Heap::root_table() const {
  return reinterpret_cast<char*>(header_) + header_->root_table_offset;
}

Status Heap::Shrink(uint64_t size_bytes) {
  if (size_bytes < header_->first_unit * kUnitBytes) return Code::kBusy;
  MORSEL_TRY(ReleaseEmptySlabs(kAllHeads));
  if (fine_) parts_.LendAnew(nullptr, size_bytes);  // a smaller heap has less to lend
  const Status status = units_.Shrink(size_bytes);
  if (!status.ok()) return status;
  recovered_ = std::min(recovered_, UnitIndex(units_.unit_count()));
  for (SizeClass& of : classes_) of.cursor = std::min(of.cursor, UnitIndex(units_.unit_count()));
  return Code::kOk;
}

}  // namespace morsel::alloc
