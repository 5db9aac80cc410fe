// A heap in a file that stands in for persistent memory. Processes map it one after the other. Only
// touched pages take space, so the heap may be large.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "alloc/heap/heap.h"
#include "tests/crash/blocks.h"
#include "tests/crash/heap/heap_log.h"

namespace morsel::crash {

/// Threads  any; Open() and Close() need all others to be outside.
class HeapFile {
 public:
  /// Maps the file; a new one gets an empty heap.
  HeapFile(const std::string& path, HeapLog& log);
  ~HeapFile();
  HeapFile(const HeapFile&) = delete;
  HeapFile& operator=(const HeapFile&) = delete;

  /// Returns  empty, or what failed.
  std::string Open();
  std::string Close();

  alloc::Heap& heap() { return *heap_; }
  void* base() const { return base_; }
  uint64_t* Slot(uint64_t slot) const { return static_cast<uint64_t*>(heap_->root_table()) + slot; }
  void* Pointee(uint64_t slot) const { return reinterpret_cast<void*>(pmem::Load(Slot(slot))); }

  /// As AllocatedBlocks(). No other thread may be in the heap.
  std::vector<Block> Allocated();

  /// Writes an object. Of a large one, Write() and Difference() skip most bytes.
  static void Write(void* at, const Object& object);
  /// Compares the first `size_bytes` bytes, which are still the object's. Returns empty, or what
  /// differs.
  static std::string Difference(const void* at, const Object& object, uint64_t size_bytes);

 private:
  alloc::HeapPlace Place() const;

  HeapLog& log_;
  char* base_ = nullptr;
  std::unique_ptr<alloc::Heap> heap_;
};

}  // namespace morsel::crash
