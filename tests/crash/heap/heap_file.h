// A heap in a file that stands in for persistent memory. Processes map it one after the other. Only
// touched pages take space, so the heap may be large.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "alloc/heap/heap.h"
#include "base/units.h"
#include "tests/crash/crash_heap.h"

namespace morsel::crash {

inline constexpr uint64_t kHeapBytesAtFirst = 2 * kMiB;
inline constexpr uint64_t kHeapCapacityBytes = 8 * kGiB;

struct HeapLog {
  WorkLog work;
  std::atomic<uint64_t> heap_bytes = kHeapBytesAtFirst;
  BlockMarks<kHeapCapacityBytes> marks;
};

/// Its slots are in the heap's root table.
class HeapFile : public CrashHeap {
 public:
  /// Maps the file; a new one gets an empty heap.
  HeapFile(const std::string& path, HeapLog& log);
  ~HeapFile() override;

  std::string Open() override;
  std::string Close() override;
  void* base() const override { return base_; }
  void* Allocate(uint64_t size_bytes, Random& random) override;
  void* Reallocate(void* block, uint64_t size_bytes) override;
  void Free(void* block) override { heap_->Free(block); }
  uint64_t UsableBytes(const void* block) override { return heap_->UsableBytes(block); }
  void Flush(const void* address, uint64_t size_bytes) override;
  void Fence() override { heap_->Fence(); }
  void Settle() override { heap_->StopTheWorld().FlushFrees(); }
  void Resize(Random& random) override;
  void* Pointee(uint64_t slot) override;
  void Point(uint64_t slot, void* object) override;
  std::string WhyInvalid() override;
  std::vector<Block> Allocated() override;

 private:
  alloc::HeapPlace Place() const;
  uint64_t* Slot(uint64_t slot) const {
    return static_cast<uint64_t*>(heap_->facts().root_table()) + slot;
  }
  /// nullptr where there was no space.
  void* BlockOf(const Result<void*>& block);

  std::atomic<uint64_t>& heap_bytes_;
  char* base_ = nullptr;
  std::unique_ptr<alloc::Heap> heap_;
};

}  // namespace morsel::crash
