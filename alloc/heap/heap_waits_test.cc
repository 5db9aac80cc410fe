// Who closes the gate sleeps until all others are outside. A thread of a real-time class that
// yielded instead would keep the processor from the thread that it waits for.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"
#include "os/testing/asleep_testing.h"

namespace {
thread_local uint64_t yields = 0;
}  // namespace

// In place of the C library's, for all that is linked with this test.
extern "C" int sched_yield() noexcept {
  ++yields;
  return static_cast<int>(syscall(SYS_sched_yield));
}

namespace morsel::alloc {
namespace {

constexpr uint64_t kBytes = 4 * kMiB;

class HeapWaitsTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    FormatHeap(memory_.Place(kBytes), 4096, pmem::VolatilePersist());
    heap_ = Heap::Open(memory_.Place(kBytes), pmem::VolatilePersist(), true, false).value();
    heap_->Free(heap_->Allocate(64, 16).value());
    heap_->Free(heap_->Allocate(64, 16).value());
    uint32_t number = my_state->held;
    while (!my_state->Held(number).Is(heap_.get())) number = my_state->Held(number).next;
    slot_ = &my_state->Held(number);
  }

  // Goes inside in one of the two ways.
  bool Enter() {
    return GetParam() ? my_state->recent.Enter(heap_.get()) : slot_->Enter(heap_.get());
  }
  void Leave() { GetParam() ? my_state->recent.Leave() : slot_->Leave(); }

  HeapMemory memory_{kBytes};
  std::unique_ptr<Heap> heap_;
  ThreadSlot* slot_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Ways, HeapWaitsTest, testing::Bool(),
                         [](const auto& instance) { return instance.param ? "Recent" : "Slot"; });

TEST_P(HeapWaitsTest, WhoClosesTheGateSleepsUntilAllAreOutside) {
  ASSERT_TRUE(Enter());
  std::atomic<pid_t> closer{0};
  std::atomic<bool> alone{false};
  std::atomic<uint64_t> its_yields{0};
  std::thread thread([&] {
    closer.store(static_cast<pid_t>(syscall(SYS_gettid)));
    const auto stopped = heap_->StopTheWorld();
    its_yields.store(yields);
    alone.store(true);
  });
  // Not before it has taken the key from this thread: until then it may wait for something else.
  while (my_state->recent.Is(heap_.get())) {
  }
  const bool sleeps = IsSeenAsleep(closer.load());
  EXPECT_FALSE(alone.load());
  Leave();
  thread.join();
  EXPECT_TRUE(sleeps);
  EXPECT_TRUE(alone.load());
  EXPECT_EQ(its_yields.load(), 0u);
}

}  // namespace
}  // namespace morsel::alloc
