// What the tests of the trie share: a heap of a few MiB for it.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "alloc/heap/heap_testing.h"
#include "morsel/roots/root_layout.h"
#include "morsel/roots/root_table_layout.h"

namespace morsel {

/// A hash that the name itself says: "7.x" has hash 7. Names that have none are hashed as ever.
inline uint64_t HashThatNameSays(const void* bytes, size_t size_bytes) {
  const std::string name(static_cast<const char*>(bytes), size_bytes);
  const size_t dot = name.find('.');
  if (dot == std::string::npos) return Checksum64(bytes, size_bytes);
  return std::strtoull(name.c_str(), nullptr, 16);
}

/// Makes the heap that Format() has made with a table one of the version before.
inline void BecomeHeapOfTables(void* base) {
  const uint32_t version = alloc::kHeapVersionOfTables;
  std::memcpy(static_cast<char*>(base) + offsetof(alloc::HeapHeader, version), &version,
              sizeof version);
}

/// Puts a root into the table of such a heap, as the library did then.
inline void PutInTable(alloc::Heap& heap, uint64_t entry, const char* name, const void* object) {
  auto* const at = static_cast<RootEntry*>(heap.facts().root_table()) + entry;
  std::strncpy(at->name, name, sizeof at->name - 1);
  at->object = reinterpret_cast<uint64_t>(object);
}

class TrieHeap {
 public:
  explicit TrieHeap(uint64_t size_bytes = kSubtreeBytes, bool has_table = false,
                    pmem::Persist persist = pmem::VolatilePersist())
      : memory_(size_bytes), place_(memory_.Place(size_bytes)), persist_(persist) {
    alloc::FormatHeap(place_, has_table ? kRootTableBytes : 0, persist_);
    if (has_table) BecomeHeapOfTables(place_.base);
    Open();
  }
  /// Opens the heap again, as what is there now.
  void Open(bool read_only = false) {
    heap_.reset();
    auto opened = alloc::Heap::Open(place_, persist_, /*fine=*/true, read_only);
    ASSERT_TRUE(opened) << LastError();
    heap_ = std::move(*opened);
  }
  alloc::Heap& heap() { return *heap_; }
  alloc::HeapHeader& header() { return *heap_->facts().header; }
  const alloc::HeapPlace& place() const { return place_; }
  void* Object() { return heap_->Allocate(64, 16).value(); }
  uint64_t LiveBytes() { return heap_->StopAndRelease().LiveBytes().value(); }
  void* At(uint64_t offset) { return static_cast<char*>(place_.base) + offset; }

 private:
  alloc::HeapMemory memory_;
  alloc::HeapPlace place_;
  pmem::Persist persist_;
  std::unique_ptr<alloc::Heap> heap_;
};

}  // namespace morsel
