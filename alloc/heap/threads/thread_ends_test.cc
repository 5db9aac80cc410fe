#include "alloc/heap/threads/thread_ends.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "os/testing/asleep_testing.h"

namespace morsel::alloc {
namespace {

class Listener final : public ThreadEndListener {
 public:
  ~Listener() = default;
  Listener() : heap(Register(this)) {}

  void ThreadEnds(ThreadHeap& ended) override {
    told.push_back(&ended);
    told_count.fetch_add(1);
    while (waits.load()) waits.wait(true);
  }

  // From now on the calling thread holds a part of the heap.
  void Hold(ThreadHeap* part) {
    ThreadSlot* const slot = MyState()->MakeSlot(SlotPlace::Of(heap.number));
    MyState()->Hold(heap.number, *slot, heap.opening, part);
  }

  OpenHeap heap;
  std::vector<ThreadHeap*> told;
  std::atomic<int> told_count{0};
  std::atomic<bool> waits{false};
};

ThreadHeap* Part(uintptr_t number) { return reinterpret_cast<ThreadHeap*>(number * 64); }

TEST(ThreadEndsTest, AHeapGetsTheNumberOfAClosedOne) {
  std::vector<Listener> open(100);
  uint32_t most = 0;
  for (const Listener& one : open) most = std::max(most, one.heap.number);
  for (int i = 0; i < 1000; ++i) {
    Listener another;
    EXPECT_LE(another.heap.number, most + 1);
    for (const Listener& one : open) ASSERT_NE(one.heap.number, another.heap.number);
    Unregister(another.heap);
  }
  for (const Listener& one : open) Unregister(one.heap);
}

// Among many others, it tells only those of which the thread holds a part.
TEST(ThreadEndsTest, AThreadTellsTheHeapsThatItHoldsPartsOf) {
  std::vector<Listener> open(200);
  std::thread([&] {
    open[3].Hold(Part(1));
    open[150].Hold(Part(2));
    open[3].Hold(Part(1));
  }).join();
  for (size_t i = 0; i < open.size(); ++i) {
    EXPECT_EQ(open[i].told.size(), i == 3 || i == 150 ? 1u : 0u) << i;
  }
  EXPECT_EQ(open[3].told[0], Part(1));
  EXPECT_EQ(open[150].told[0], Part(2));
  for (const Listener& one : open) Unregister(one.heap);
}

TEST(ThreadEndsTest, AHeapIsNotToldOfPartsOfAClosedOneWhoseNumberItHas) {
  Listener closed;
  std::atomic<int> step{0};
  std::thread thread([&] {
    closed.Hold(Part(1));
    step.store(1);
    while (step.load() != 2) std::this_thread::yield();
  });
  while (step.load() != 1) std::this_thread::yield();
  Unregister(closed.heap);
  Listener next;
  ASSERT_EQ(next.heap.number, closed.heap.number);
  step.store(2);
  thread.join();
  EXPECT_TRUE(closed.told.empty());
  EXPECT_TRUE(next.told.empty());
  Unregister(next.heap);
}

TEST(ThreadEndsTest, WhoClosesAHeapSleepsUntilNobodyTellsItOfAnEnd) {
  Listener open;
  open.waits.store(true);
  std::thread ends([&] { open.Hold(Part(1)); });
  while (open.told_count.load() == 0) std::this_thread::yield();
  std::atomic<pid_t> closer{0};
  std::atomic<bool> closed{false};
  std::thread closes([&] {
    closer.store(static_cast<pid_t>(syscall(SYS_gettid)));
    Unregister(open.heap);
    closed.store(true);
  });
  while (closer.load() == 0) std::this_thread::yield();
  const bool sleeps = IsSeenAsleep(closer.load());
  EXPECT_FALSE(closed.load());
  open.waits.store(false);
  open.waits.notify_all();
  ends.join();
  closes.join();
  EXPECT_TRUE(sleeps);
}

}  // namespace
}  // namespace morsel::alloc
