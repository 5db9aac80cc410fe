#include "alloc/heap/segments/segment_table.h"

#include <sys/mman.h>

#include "base/error.h"

namespace morsel::alloc {

SegmentTable::~SegmentTable() {
  if (segments_ != nullptr) munmap(segments_, view_.unit_count * sizeof *segments_);
}

Status SegmentTable::Reserve(const void* base, uint64_t capacity_bytes) {
  const uint64_t unit_count = capacity_bytes / kUnitBytes;
  void* const memory = mmap(nullptr, unit_count * sizeof *segments_, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return Fail(Code::kNoMemory, "no address space to keep account of the morsel at %p", base);
  }
  segments_ = static_cast<std::atomic<Segment*>*>(memory);  // zero bytes are null pointers
  view_ = {reinterpret_cast<uint64_t>(base), unit_count, segments_};
  return Code::kOk;
}

void SegmentTable::Fill(const char* begin, const char* end, Segment* value) {
  const uint64_t last = (reinterpret_cast<uint64_t>(end) - 1 - view_.base) / kUnitBytes;
  for (uint64_t unit = (reinterpret_cast<uint64_t>(begin) - view_.base) / kUnitBytes; unit <= last;
       ++unit) {
    segments_[unit].store(value, std::memory_order_release);
  }
}

}  // namespace morsel::alloc
