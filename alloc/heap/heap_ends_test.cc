// Threads end in every way that a program may choose. None of what they held is lost, and nothing
// is read or written where they were.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"
#include "alloc/heap/key_rounds_testing.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kBytes = 4 * kMiB;
constexpr uint64_t kBlockBytes = 3000;
constexpr size_t kStackBytes = 4 * kMiB;

class HeapEndsTest : public testing::Test {
 protected:
  void SetUp() override {
    stack_ = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(stack_, MAP_FAILED);
    FormatHeap(memory_.Place(kBytes), 4096, pmem::VolatilePersist());
    heap_ = Heap::Open(memory_.Place(kBytes), pmem::VolatilePersist(), true, false).value();
    const std::vector<void*> all = TakeAll();
    count_ = all.size();
    for (void* const block : all) heap_->Free(block);
  }
  void TearDown() override { munmap(stack_, kStackBytes); }

  std::vector<void*> TakeAll() {
    std::vector<void*> blocks;
    while (const Result<void*> block = heap_->Allocate(kBlockBytes, 16)) blocks.push_back(*block);
    return blocks;
  }

  void* Take() { return heap_->Allocate(kBlockBytes, 16).value(); }

  // Runs a thread whose stack and thread-local memory are the test's, waits until it is gone, and
  // fills that memory. Then others use the heap, have it alone, and take all that is in it. None of
  // that changes the memory, and nothing is missing but `kept` blocks.
  void ExpectNothingIsLeftOf(const std::function<void()>& body, size_t kept = 0) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    ASSERT_EQ(pthread_attr_setstack(&attributes, stack_, kStackBytes), 0);
    pthread_t thread;
    const auto run = [](void* what) -> void* {
      (*static_cast<const std::function<void()>*>(what))();
      return nullptr;
    };
    ASSERT_EQ(pthread_create(&thread, &attributes, run,
                             const_cast<void*>(static_cast<const void*>(&body))),
              0);
    ASSERT_EQ(pthread_join(thread, nullptr), 0);
    pthread_attr_destroy(&attributes);
    std::memset(stack_, 0xff, kStackBytes);
    heap_->StopTheWorld().FlushFrees();
    std::thread([&] { heap_->Free(Take()); }).join();
    (void)heap_->StopAndRelease().LiveBytes();
    const std::vector<void*> rest = TakeAll();
    EXPECT_EQ(rest.size() + kept, count_);
    for (void* const block : rest) heap_->Free(block);
    heap_->StopTheWorld().FlushFrees();
    const char* const bytes = static_cast<const char*>(stack_);
    EXPECT_TRUE(std::all_of(bytes, bytes + kStackBytes, [](char byte) { return byte == '\xff'; }));
    EXPECT_EQ(Findings(*heap_), "");
  }

  HeapMemory memory_{kBytes};
  std::unique_ptr<Heap> heap_;
  size_t count_ = 0;
  void* stack_ = nullptr;
};

TEST_F(HeapEndsTest, FirstCallsInAnyRoundOfKeyDestructors) {
  for (int first = 1; first <= kKeyRounds; ++first) {
    SCOPED_TRACE(first);
    void* const given = Take();
    void* block = nullptr;
    KeyRounds rounds([&](int round) {
      if (round != first) return;
      heap_->Free(given);
      block = Take();
      heap_->Free(Take());
    });
    ExpectNothingIsLeftOf([&] { rounds.Arm(); }, 1);
    heap_->Free(block);
  }
}

TEST_F(HeapEndsTest, CallsInEveryRoundOfKeyDestructors) {
  std::vector<void*> blocks;
  KeyRounds rounds([&](int) { blocks.push_back(Take()); });
  ExpectNothingIsLeftOf(
      [&] {
        rounds.Arm();
        blocks.push_back(Take());
      },
      1 + kKeyRounds);
  for (void* const block : blocks) heap_->Free(block);
}

TEST_F(HeapEndsTest, CallsInThreadLocalDestructors) {
  static Heap* heap;
  struct Late {
    void* block;
    ~Late() {
      heap->Free(block);
      heap->Free(heap->Allocate(kBlockBytes, 16).value());
    }
  };
  heap = heap_.get();
  for (const bool first : {false, true}) {
    SCOPED_TRACE(first ? "the first ones" : "after others");
    void* const block = Take();
    ExpectNothingIsLeftOf([&] {
      static thread_local Late late{nullptr};
      if (!first) heap_->Free(Take());
      late.block = block;
    });
  }
}

#ifndef __SANITIZE_THREAD__  // whose runtime cannot miss the end of a thread
// No destructor runs.
TEST_F(HeapEndsTest, AThreadThatLeavesTheProcessAtOnce) {
  void* kept = nullptr;
  ExpectNothingIsLeftOf(
      [&] {
        kept = Take();
        heap_->Free(Take());
        syscall(SYS_exit, 0);
      },
      1);
  heap_->Free(kept);
}
#endif

TEST_F(HeapEndsTest, ACancelledThread) {
  void* kept = nullptr;
  std::atomic<bool> waits{false};
  pthread_t self{};
  std::thread canceller([&] {
    while (!waits.load()) std::this_thread::yield();
    pthread_cancel(self);
  });
  ExpectNothingIsLeftOf(
      [&] {
        self = pthread_self();
        kept = Take();
        waits.store(true);
        for (;;) pthread_testcancel();
      },
      1);
  canceller.join();
  heap_->Free(kept);
}

// Threads that nobody hears of leave their parts to those who come after them.
TEST_F(HeapEndsTest, LateThreadsDoNotAddUp) {
  KeyRounds rounds([&](int round) {
    if (round == kKeyRounds) heap_->Free(Take());
  });
  std::vector<void*> blocks;
  for (int i = 0; i < 50; ++i) {
    std::thread([&] { rounds.Arm(); }).join();
    blocks.push_back(Take());
  }
  EXPECT_EQ(TakeAll().size() + blocks.size(), count_);
}

// The heap is closed while threads are in their last destructors, and after they are gone.
TEST_F(HeapEndsTest, AHeapThatIsGoneIsNotTouchedByThreadsThatEnd) {
  std::atomic<int> step{0};
  KeyRounds rounds([&](int round) {
    if (round == 1) heap_->Free(Take());
    if (round != 2) return;
    step.store(1);
    while (step.load() != 2) std::this_thread::yield();
  });
  std::thread ends([&] { rounds.Arm(); });
  while (step.load() != 1) std::this_thread::yield();
  ASSERT_TRUE(heap_->StopAndRelease().Close().ok());
  heap_.reset();
  step.store(2);
  ends.join();
  heap_ = Heap::Open(memory_.Place(kBytes), pmem::VolatilePersist(), true, false).value();
  EXPECT_EQ(TakeAll().size(), count_);
}

}  // namespace
}  // namespace morsel::alloc
