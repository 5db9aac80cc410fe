#include "os/memory/dense_memory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "base/units.h"

namespace morsel::os {
namespace {

constexpr size_t kObjects = 1000;

class DenseMemoryTest : public testing::Test {
 protected:
  ~DenseMemoryTest() override {
    for (void* const one : taken_) TheDenseSource().Give(one, size_bytes_);
  }

  // All are of one size.
  std::vector<uintptr_t> Take(size_t size_bytes, size_t count) {
    size_bytes_ = size_bytes;
    std::vector<uintptr_t> addresses;
    for (size_t i = 0; i < count; ++i) {
      taken_.push_back(TheDenseSource().Take(size_bytes));
      addresses.push_back(reinterpret_cast<uintptr_t>(taken_.back()));
    }
    return addresses;
  }

  size_t size_bytes_ = 0;
  std::vector<void*> taken_;
};

TEST_F(DenseMemoryTest, ManyObjectsLieInFewPages) {
  constexpr size_t kBytes = 200;
  constexpr uintptr_t kPageBytes = 4096;
  std::set<uintptr_t> pages;
  for (const uintptr_t address : Take(kBytes, kObjects)) {
    EXPECT_EQ(address % kLineBytes, 0u);
    pages.insert(address / kPageBytes);
  }
  EXPECT_LE(pages.size(), 2 * kObjects * kBytes / kPageBytes);
}

TEST_F(DenseMemoryTest, ObjectsDoNotOverlap) {
  for (const size_t size_bytes : {1, 64, 65, 2112, 16 * 1024, 100 * 1024}) {
    std::vector<uintptr_t> addresses = Take(size_bytes, 50);
    std::sort(addresses.begin(), addresses.end());
    for (size_t i = 1; i < addresses.size(); ++i) {
      EXPECT_GE(addresses[i] - addresses[i - 1], size_bytes);
    }
    for (void* const one : taken_) TheDenseSource().Give(one, size_bytes);
    taken_.clear();
  }
}

// Such a cache has as many sets as one of 1 MiB with 8 ways.
TEST_F(DenseMemoryTest, TheSameFieldOfManyObjectsGoesIntoAllSetsOfACache) {
  constexpr uintptr_t kSets = 2048;
  for (const size_t size_bytes : {4096, 1024, 6144}) {
    std::map<uintptr_t, int> in_set;
    for (const uintptr_t address : Take(size_bytes, kObjects)) {
      ++in_set[address / kLineBytes % kSets];
    }
    for (const auto& [set, objects] : in_set) {
      EXPECT_LE(objects, 4) << size_bytes << " bytes, set " << set;
    }
    for (void* const one : taken_) TheDenseSource().Give(one, size_bytes);
    taken_.clear();
  }
}

TEST_F(DenseMemoryTest, WhatWasGivenBackServesAgain) {
  const std::vector<uintptr_t> first = Take(3000, kObjects);
  for (void* const one : taken_) TheDenseSource().Give(one, 3000);
  taken_.clear();
  const std::vector<uintptr_t> second = Take(3000, kObjects);
  EXPECT_EQ(std::set(first.begin(), first.end()), std::set(second.begin(), second.end()));
}

// At each fork the other thread may be anywhere in the source, with its mutex held.
TEST_F(DenseMemoryTest, AForkedChildWaitsForNoThreadOfItsParent) {
  std::atomic<bool> end{false};
  std::thread other([&] {
    while (!end.load()) TheDenseSource().Give(TheDenseSource().Take(64), 64);
  });
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    ASSERT_NE(child, -1);
    if (child == 0) {
      alarm(20);
      _exit(TheDenseSource().Take(64) != nullptr ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "fork " << i;
  }
  end.store(true);
  other.join();
}

}  // namespace
}  // namespace morsel::os
