#include "alloc/heap/segments/segment_table.h"

#include <sys/mman.h>

#include <new>

#include "base/error.h"
#include "os/memory/dense_memory.h"

namespace morsel::alloc {
namespace {

// A table up to this size lies beside others. On pages of their own the tables of many small heaps
// would lie in the same few sets of the processor's caches, and take an entry of its TLB each.
constexpr uint64_t kUnmappedMax = 4096 / sizeof(std::atomic<Segment*>);

}  // namespace

SegmentTable::~SegmentTable() {
  if (segments_ == nullptr) return;
  if (view_.unit_count <= kUnmappedMax) {
    os::TheDenseSource().Give(segments_, view_.unit_count * sizeof *segments_);
  } else {
    munmap(segments_, view_.unit_count * sizeof *segments_);
  }
}

Status SegmentTable::Reserve(const void* base, uint64_t capacity_bytes) {
  const uint64_t unit_count = capacity_bytes / kUnitBytes;
  if (unit_count <= kUnmappedMax) {
    void* const memory = os::TheDenseSource().Take(unit_count * sizeof *segments_);
    if (memory != nullptr) segments_ = new (memory) std::atomic<Segment*>[unit_count] {};
  } else {
    void* const memory = mmap(nullptr, unit_count * sizeof *segments_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    // Zero bytes are null pointers.
    if (memory != MAP_FAILED) segments_ = static_cast<std::atomic<Segment*>*>(memory);
  }
  if (segments_ == nullptr) {
    return Fail(Code::kNoMemory, "no address space to keep account of the morsel at %p", base);
  }
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
