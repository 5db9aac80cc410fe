// Threads come and go beside others that stay. What that costs is counted: bytes of memory, looks
// at what others hold, gates.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <set>
#include <thread>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"
#include "base/bits.h"
#include "os/memory/dense_memory.h"

namespace {

constexpr size_t kPageBytes = 4096;

/// What a thread took while it was recording. What is of dense memory lies on pages of its own, so
/// that a test can put it out of reach.
struct Recording {
  struct Object {
    void* begin;
    size_t size_bytes;
  };
  std::array<Object, 64> dense{};
  size_t dense_count = 0;
  size_t size_bytes = 0;

  void Protect(int protection) const {
    for (size_t i = 0; i < dense_count; ++i) {
      ASSERT_EQ(mprotect(dense[i].begin, dense[i].size_bytes, protection), 0);
    }
  }
};
thread_local constinit Recording* recording = nullptr;

// Pages of recorded objects are not used again.
std::atomic<uintptr_t> pages_begin{~uintptr_t{0}};
std::atomic<uintptr_t> pages_end{0};

void* OnOwnPages(size_t size_bytes) {
  static char* const room = static_cast<char*>(
      mmap(nullptr, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  static std::atomic<size_t> used{0};
  pages_begin = reinterpret_cast<uintptr_t>(room);
  pages_end = reinterpret_cast<uintptr_t>(room) + (64 << 20);
  char* const begin = room + used.fetch_add(size_bytes);
  if (begin + size_bytes > room + (64 << 20)) std::abort();
  return begin;
}

}  // namespace

void* operator new(size_t size_bytes) {
  if (recording != nullptr) recording->size_bytes += size_bytes;
  void* const memory = std::malloc(size_bytes);
  if (memory == nullptr) std::abort();
  return memory;
}

// Not inlined, for the compiler does not see that it belongs to the operators above.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }
namespace morsel::alloc {
namespace {

constexpr uint64_t kBytes = 64 * kMiB;
constexpr int kStay = 20;

class RecordingSource final : public os::DenseSource {
 public:
  void* Take(size_t size_bytes) override {
    takes.fetch_add(1);
    // A batch of segments is the heap's.
    const bool is_segments = (size_bytes - kLineBytes) % sizeof(Segment) == 0;
    if (recording == nullptr || is_segments) {
      return std::aligned_alloc(kLineBytes, AlignUp(size_bytes, kLineBytes));
    }
    recording->size_bytes += size_bytes;
    const size_t pages_bytes = AlignUp(size_bytes, kPageBytes);
    void* const memory = OnOwnPages(pages_bytes);
    recording->dense.at(recording->dense_count++) = {memory, pages_bytes};
    return memory;
  }
  void Give(void* memory, size_t) override {
    const auto address = reinterpret_cast<uintptr_t>(memory);
    if (address < pages_begin || address >= pages_end) std::free(memory);
  }

  std::atomic<int> takes{0};
};
RecordingSource source;

class HeapChurnTest : public testing::TestWithParam<bool> {
 protected:
  static void SetUpTestSuite() { os::SetDenseSourceForTest(&source); }

  void SetUp() override {
    FormatHeap(memory_.Place(kBytes), 4096, pmem::VolatilePersist());
    heap_ = Heap::Open(memory_.Place(kBytes), pmem::VolatilePersist(), GetParam(), false).value();
    Use();  // makes what is the heap's own
  }
  void TearDown() override {
    end_.store(true);
    end_.notify_all();
    for (std::thread& thread : stay_) thread.join();
  }

  void Use() {
    for (const uint64_t size_bytes : {64, 64, 100, 3000}) {
      heap_->Free(heap_->Allocate(size_bytes, 16).value());
    }
  }

  // Starts threads that stay until the test ends. Each uses the heap, and keeps a block.
  void StartThoseWhoStay() {
    for (int i = 0; i < kStay; ++i) {
      stay_.emplace_back([this, i] {
        recording = &recordings_[static_cast<size_t>(i)];
        Use();
        recording = nullptr;
        kept_[static_cast<size_t>(i)] = heap_->Allocate(64, 16).value();
        staying_.fetch_add(1);
        end_.wait(false);
      });
    }
    while (staying_.load() != kStay) std::this_thread::yield();
  }

  HeapMemory memory_{kBytes};
  std::unique_ptr<Heap> heap_;
  std::vector<std::thread> stay_;
  std::array<Recording, kStay> recordings_{};
  std::array<void*, kStay> kept_{};
  std::atomic<int> staying_{0};
  std::atomic<bool> end_{false};
};

INSTANTIATE_TEST_SUITE_P(Contracts, HeapChurnTest, testing::Bool(),
                         [](const auto& instance) { return instance.param ? "Fine" : "Snapshot"; });

TEST_P(HeapChurnTest, AThreadsPartIsSmallAtFirst) {
  Recording seen;
  std::thread([&] {
    heap_->Free(heap_->Allocate(64, 16).value());  // whatever is no part
    recording = nullptr;
  }).join();
  StartThoseWhoStay();  // so that no part of an ended thread is left
  std::thread([&] {
    recording = &seen;
    void* const block = heap_->Allocate(64, 16).value();
    ASSERT_TRUE(heap_->Flush(block, 64).ok());
    heap_->Fence();
    heap_->Free(block);
    heap_->Free(kept_[0]);
    recording = nullptr;
  }).join();
  EXPECT_GT(seen.size_bytes, sizeof(ThreadHeap));
  EXPECT_LE(seen.size_bytes, 8 * kKiB);
}

// A thread that goes from heap to heap finds all that malloc and free read of them in few pages.
TEST_P(HeapChurnTest, WhatMallocAndFreeReadLiesInDenseMemory) {
  ASSERT_TRUE(heap_->StopAndRelease().Close().ok());
  heap_.reset();
  const int before = source.takes.load();
  heap_ = Heap::Open(memory_.Place(kBytes), pmem::VolatilePersist(), GetParam(), false).value();
  heap_->Free(heap_->Allocate(64, 16).value());
  // The heap, its first segments, the thread's part, and what that has of the class.
  EXPECT_EQ(source.takes.load() - before, 4);
}

// The parts of all others are out of reach while threads live and end. A thread that looked at one
// would end the process.
TEST_P(HeapChurnTest, AThreadThatComesAndGoesLooksAtNoOthersPart) {
  StartThoseWhoStay();
  const auto life = [&](size_t number) {
    std::thread([&] {
      Use();
      void* const block = heap_->Allocate(200, 16).value();
      ASSERT_TRUE(heap_->Flush(block, 200).ok());
      heap_->Fence();
      heap_->Free(block);
      if (number == 0) heap_->Free(kept_[0]);  // the last look at another's part
    }).join();
  };
  life(0);
  for (const Recording& one : recordings_) {
    ASSERT_GT(one.dense_count, 0u);
    one.Protect(PROT_NONE);
  }
  for (size_t i = 1; i < 10; ++i) life(i);
  for (const Recording& one : recordings_) one.Protect(PROT_READ | PROT_WRITE);
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), (kStay - 1) * 64u);
}

// A thread delays its frees of another's blocks until that one has ended. A third one finds the
// room without closing the gate.
TEST_P(HeapChurnTest, WhatIsFreedOfAnEndedThreadsSlabsIsUsedAgain) {
  // With one of these counts the slab is just full when its thread ends.
  for (size_t count = 36; count <= 46; ++count) {
    SCOPED_TRACE(count);
    std::vector<void*> blocks(count);
    std::atomic<int> step{0};
    std::thread ends([&] {
      for (void*& block : blocks) block = heap_->Allocate(3000, 16).value();
      step.store(1);
      while (step.load() != 2) std::this_thread::yield();
    });
    while (step.load() != 1) std::this_thread::yield();
    std::set<void*> freed;
    std::thread frees([&] {
      heap_->Free(heap_->Allocate(64, 16).value());  // so that it has a slot
      for (size_t i = 0; i < 5; ++i) {
        heap_->Free(blocks[i]);
        freed.insert(blocks[i]);
      }
      step.store(2);
      ends.join();
    });
    frees.join();
    const uint64_t gates = heap_->work().gates_closed;
    // What else this thread and the heap have comes first.
    for (int i = 0; i < 200 && !freed.empty(); ++i) {
      freed.erase(heap_->Allocate(3000, 16).value());
    }
    EXPECT_EQ(freed.size(), 0u);
    EXPECT_EQ(heap_->work().gates_closed, gates);
  }
}

// Whoever closed the gate would have taken the slot of this thread.
TEST_P(HeapChurnTest, AThreadThatComesAndGoesLeavesTheGateOpen) {
  StartThoseWhoStay();
  std::thread([&] { Use(); }).join();
  Use();
  ASSERT_NE(Heap::TryAllocate(heap_.get(), 64), nullptr);
  for (int i = 0; i < 10; ++i) {
    std::thread([&] { Use(); }).join();
    ASSERT_NE(Heap::TryAllocate(heap_.get(), 64), nullptr) << i;
  }
}

}  // namespace
}  // namespace morsel::alloc
