#include "alloc/heap/supply/host_memory.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/units.h"

namespace morsel::alloc {
namespace {

/// So much freed memory of extents is kept, or an eighth of the heap, if that is more: the next
/// extents use it without the kernel having to clear it.
constexpr uint64_t kIdleBytesMin = 64 * kMiB;
constexpr uint64_t kIdlePart = 8;

}  // namespace

void HostMemory::Expect(const Segment& segment, HeapFrames::Use use) {
  if (frames_ != nullptr) frames_->Expect(segment.start, segment.end(), use);
}

void HostMemory::Watch() {
  if (frames_ != nullptr) frames_->Watch();
}

void HostMemory::Clear(char* begin, char* end) {
  while (begin < end) {
    HeapFrames::Range touched = {begin, end};
    if (frames_ != nullptr) {
      std::lock_guard lock(lock_);
      touched = frames_->FirstTouched(begin, end);
    }
    std::memset(touched.begin, 0, static_cast<size_t>(touched.end - touched.begin));
    begin = touched.end;
  }
}

void HostMemory::GiveBackIdle() {
  if (frames_ == nullptr) return;
  const uint64_t heap_bytes = units_.unit_count() * kUnitBytes;
  if (units_.idle_bytes() <= std::max(kIdleBytesMin, heap_bytes / kIdlePart)) return;
  units_.TakeIdle([this](UnitIndex begin, UnitIndex end) {
    frames_->GiveBack(units_.AddressOf(begin), units_.AddressOf(end));
  });
}

}  // namespace morsel::alloc
