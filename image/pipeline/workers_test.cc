#include "image/pipeline/workers.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <iterator>
#include <memory>
#include <new>

#include "os/testing/allocations_testing.h"

namespace morsel::image {
namespace {

constexpr size_t kSlots = 100;
constexpr unsigned kThreads = 4;

long ThreadsOfThisProcess() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

// A thread that outlived its Workers would work on memory that is others'.
TEST(WorkersTest, NoThreadIsLeftWhereTheConstructorHasNoMemory) {
  const long before = ThreadsOfThisProcess();
  std::unique_ptr<Workers> workers;
  int shortages = 0;
  for (long allocations = 0;; ++allocations) {
    os::allocations_left = allocations;
    try {
      workers = std::make_unique<Workers>(
          kSlots, [](size_t, unsigned) {}, kThreads);
    } catch (const std::bad_alloc&) {
      ++shortages;
    }
    os::allocations_left = -1;
    if (workers != nullptr) break;
    ASSERT_EQ(ThreadsOfThisProcess(), before) << allocations;
  }
  EXPECT_GE(shortages, 3);
}

// Callers rely on it: a slot that could not be queued would be waited for without end.
TEST(WorkersTest, WorkNeedsNoMoreMemory) {
  std::array<int, kSlots> done{};
  Workers workers(
      kSlots, [&done](size_t slot, unsigned) { ++done[slot]; }, kThreads);
  os::allocations_left = 0;
  for (size_t slot = 0; slot < kSlots; ++slot) workers.Start(slot);
  for (size_t slot = 0; slot < kSlots; ++slot) workers.Await(slot);
  os::allocations_left = -1;
  for (size_t slot = 0; slot < kSlots; ++slot) EXPECT_EQ(done[slot], 1) << slot;
}

}  // namespace
}  // namespace morsel::image
