// What the heap's tests share: a model of who owns which bytes.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "alloc/heap/heap_memory_testing.h"
#include "base/error.h"
#include "os/testing/seed_testing.h"

namespace morsel::alloc {

/// For tests that expect a death: each is that of a fresh process. A forked one would be no thread
/// that the heap knows, and hold nothing of it.
struct DeathsInFreshProcesses {
  DeathsInFreshProcesses() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

/// A model of who owns which bytes, and of what is in them.
class OwnerModel {
 public:
  struct Owner {
    uint64_t size_bytes;
    uint64_t usable_bytes;
    uint64_t tag;
  };

  /// Adds a block that the heap has just allocated, and fills it. Fails the test if another block
  /// owns one of its bytes.
  void Add(Heap& heap, void* block, uint64_t size_bytes, uint64_t alignment) {
    const uint64_t usable_bytes = heap.UsableBytes(block);
    ASSERT_GE(usable_bytes, size_bytes);
    ASSERT_EQ(reinterpret_cast<uint64_t>(block) % alignment, 0u);
    ASSERT_TRUE(IsTrue(heap.IsLive(block)));
    char* const begin = static_cast<char*>(block);
    const auto after = owners_.lower_bound(begin);
    if (after != owners_.end()) {
      ASSERT_LE(begin + usable_bytes, after->first) << "a byte has two owners";
    }
    if (after != owners_.begin()) {
      const auto before = std::prev(after);
      ASSERT_LE(before->first + before->second.usable_bytes, begin) << "a byte has two owners";
    }
    owners_[begin] = {size_bytes, usable_bytes, ++tags_};
    Visit(owners_.find(begin)->first, owners_[begin], [](char* at, char value) { *at = value; });
  }

  /// Fails the test if the block's bytes are not what Add() wrote.
  void Check(void* block) const {
    const auto found = owners_.find(static_cast<char*>(block));
    ASSERT_NE(found, owners_.end());
    uint64_t wrong = 0;
    Visit(found->first, found->second, [&](char* at, char value) { wrong += *at != value; });
    EXPECT_EQ(wrong, 0u) << "bytes of " << block << ", " << found->second.size_bytes << " long";
  }

  void CheckAll(Heap& heap) const {
    for (const auto& [block, owner] : owners_) {
      ASSERT_TRUE(IsTrue(heap.IsLive(block))) << static_cast<void*>(block);
      ASSERT_EQ(heap.UsableBytes(block), owner.usable_bytes);
      Check(block);
    }
  }

  uint64_t UsableBytes() const {
    uint64_t sum = 0;
    for (const auto& [block, owner] : owners_) sum += owner.usable_bytes;
    return sum;
  }

  void Remove(void* block) { owners_.erase(static_cast<char*>(block)); }
  const std::map<char*, Owner>& owners() const { return owners_; }
  bool empty() const { return owners_.empty(); }

  char* Any(std::mt19937_64& random) const {
    return std::next(owners_.begin(), static_cast<ptrdiff_t>(random() % owners_.size()))->first;
  }

 private:
  // Calls each(byte, value) for all bytes of a small block; for a large one, for those at its
  // beginning and at its end, and for some between.
  template <class Each>
  static void Visit(char* block, const Owner& owner, Each each) {
    const auto at = [&](uint64_t i) {
      each(block + i, static_cast<char>((owner.tag + i) * 0x9e3779b97f4a7c15 >> 56));
    };
    const uint64_t begin = std::min<uint64_t>(owner.size_bytes, 256);
    const uint64_t end = std::max<uint64_t>(owner.size_bytes, begin + 64) - 64;
    for (uint64_t i = 0; i < begin; ++i) at(i);
    for (uint64_t i = begin; i < end; i += 1 + (end - begin) / 64) at(i);
    for (uint64_t i = std::max(begin, end); i < owner.size_bytes; ++i) at(i);
  }

  std::map<char*, Owner> owners_;
  uint64_t tags_ = 0;
};

}  // namespace morsel::alloc
