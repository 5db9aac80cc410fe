#include "alloc/slab_table.h"

#include <sys/mman.h>

#include "base/error.h"

namespace morsel::alloc {

SlabTable::~SlabTable() {
  if (slabs_ != nullptr) munmap(slabs_, unit_count_ * sizeof *slabs_);
}

Status SlabTable::Reserve(const void* base, uint64_t capacity_bytes) {
  base_ = reinterpret_cast<uint64_t>(base);
  const uint64_t unit_count = capacity_bytes / kUnitBytes;
  void* const memory = mmap(nullptr, unit_count * sizeof *slabs_, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return Fail(Code::kNoMemory, "no address space to keep account of the morsel at %p", base);
  }
  slabs_ = static_cast<std::atomic<Run*>*>(memory);  // zero bytes are null pointers
  unit_count_ = unit_count;
  return Code::kOk;
}

void SlabTable::Fill(const Run& run, Run* value) {
  for (uint64_t unit = 0; unit < run.units; ++unit) {
    slabs_[run.head.value() + unit].store(value, std::memory_order_release);
  }
}

}  // namespace morsel::alloc
