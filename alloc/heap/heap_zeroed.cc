// Memory that is zero because it was never used, and memory that goes back to the host.
//
//   memory         what is known to be zero
//   frames         what the kernel says was never touched, or was given back
//   a medium       what was never used since the morsel was made or grew in this process
#include <algorithm>
#include <cstring>

#include "alloc/heap/heap.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

/// So much freed memory of extents is kept, or an eighth of the heap, if that is more: the next
/// extents use it without the kernel having to clear it.
constexpr uint64_t kIdleBytesMin = 64 * kMiB;
constexpr uint64_t kIdlePart = 8;

}  // namespace

Result<void*> Heap::PlainBlocks::AllocateZeroed(uint64_t size_bytes) {
  if (size_bytes <= kBlockBytesMax) {
    const Result<void*> block = Allocate(size_bytes, kBlockBytesMin);
    if (block) std::memset(*block, 0, size_bytes);
    return block;
  }
  MORSEL_TRY(heap_.CheckSize(size_bytes));
  const Result<Extent> extent = heap_.AllocateWatched(size_bytes, kBlockBytesMin);
  if (!extent) return extent.status();
  heap_.Clear(extent->start, std::min(extent->never_used, extent->start + size_bytes));
  return extent->start;
}

// Makes [begin, end) zero, without the lock: that may take long. The range is an extent that nobody
// else knows yet.
void Heap::Clear(char* begin, char* end) {
  while (begin < end) {
    HeapFrames::Range touched = {begin, end};
    if (frames_ != nullptr) {
      std::lock_guard lock(mutex_);
      touched = frames_->FirstTouched(begin, end);
    }
    std::memset(touched.begin, 0, static_cast<size_t>(touched.end - touched.begin));
    begin = touched.end;
  }
}

void Heap::Expect(const Segment& segment, HeapFrames::Use use) {
  if (frames_ != nullptr) frames_->Expect(segment.start, segment.end(), use);
}

void Heap::Watch() {
  if (frames_ != nullptr) frames_->Watch();
}

void Heap::GiveBackIdle() {
  if (frames_ == nullptr) return;
  if (units_.idle_bytes() <= std::max(kIdleBytesMin, size_bytes() / kIdlePart)) return;
  units_.TakeIdle([this](UnitIndex begin, UnitIndex end) {
    frames_->GiveBack(units_.AddressOf(begin), units_.AddressOf(end));
  });
}

}  // namespace morsel::alloc
