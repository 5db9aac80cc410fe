#include "base/mutex.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <type_traits>

namespace morsel {
namespace {

constexpr LockRank kLast = LockRank::kDescriptors;
constexpr int kRanks = static_cast<int>(kLast) + 1;
constexpr LockRank RankAt(int i) { return static_cast<LockRank>(i); }

#ifdef NDEBUG
static_assert(sizeof(Mutex) == sizeof(std::mutex));
static_assert(alignof(Mutex) == alignof(std::mutex));
static_assert(std::is_empty_v<OutsideCall>);
// An order that is not checked is not a mistake that ends a process, either.
#define EXPECT_DIES_IF_CHECKED(statement, sentence) \
  EXPECT_EXIT(                                      \
      {                                             \
        statement;                                  \
        _exit(0);                                   \
      },                                            \
      testing::ExitedWithCode(0), "")
#else
#define EXPECT_DIES_IF_CHECKED(statement, sentence) EXPECT_DEATH(statement, sentence)
#endif

/// Takes one after the other, and gives them back.
void Take(LockRank first, LockRank second) {
  Mutex one(first);
  Mutex other(second);
  const std::lock_guard one_held(one);
  const std::lock_guard other_held(other);
}

TEST(MutexTest, AnyTwoInTheirOrderAreTaken) {
  for (int first = 0; first < kRanks; ++first) {
    for (int second = first + 1; second < kRanks; ++second) Take(RankAt(first), RankAt(second));
  }
}

TEST(MutexTest, AnyTwoInTheOppositeOrderEndTheProcess) {
  for (int first = 1; first < kRanks; ++first) {
    for (int second = 0; second < first; ++second) {
      EXPECT_DIES_IF_CHECKED(Take(RankAt(first), RankAt(second)), "holds .* takes .*base/mutex.h")
          << first << ' ' << second;
    }
  }
}

TEST(MutexTest, TwoOfOneRankEndTheProcess) {
  for (int rank = 0; rank < kRanks; ++rank) {
    EXPECT_DIES_IF_CHECKED(Take(RankAt(rank), RankAt(rank)), "holds (.*) takes ") << rank;
  }
}

TEST(MutexTest, TheSentenceNamesBoth) {
  EXPECT_DIES_IF_CHECKED(Take(LockRank::kBusErrors, LockRank::kHeap),
                         "a thread that holds the mutex of bus errors takes Heap::mutex_:");
}

TEST(MutexTest, TryingInTheWrongOrderEndsTheProcess) {
  Mutex low(LockRank::kHeap);
  Mutex high(LockRank::kGuard);
  EXPECT_DIES_IF_CHECKED(
      {
        high.lock();
        (void)low.try_lock();
      },
      "holds Guard::mutex_ takes Heap::mutex_");
}

TEST(MutexTest, OneThatIsTakenCannotBeTakenByAnother) {
  Mutex mutex(LockRank::kHeap);
  const std::lock_guard held(mutex);
  std::thread([&] {
    EXPECT_FALSE(mutex.try_lock());
    // What was not taken is not held.
    Mutex low(LockRank::kOpenPool);
    EXPECT_TRUE(low.try_lock());
    low.unlock();
  }).join();
}

TEST(MutexTest, WhatWasGivenBackMayBeTakenAgain) {
  Mutex low(LockRank::kHeap);
  Mutex high(LockRank::kCarvedMedium);
  std::unique_lock low_held(low);
  std::unique_lock high_held(high);
  // As CarvedMedium::Grant() does while the heap that grows is held.
  high_held.unlock();
  high_held.lock();
  // In any order: nobody waits to give one back.
  low_held.unlock();
  high_held.unlock();
  Take(LockRank::kOpenPool, LockRank::kHeap);
}

TEST(MutexTest, EachThreadHasItsOwn) {
  Mutex high(LockRank::kBusErrors);
  const std::lock_guard held(high);
  std::thread([] { Take(LockRank::kOpenPool, LockRank::kHeap); }).join();
}

TEST(MutexTest, AChildThatIsForkedHoldsWhatItsThreadHeld) {
  Mutex gate(LockRank::kForkGate);
  gate.lock();
  const pid_t child = fork();
  gate.unlock();
  if (child == 0) {
    Take(LockRank::kOpenPool, LockRank::kForkGate);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(MutexTest, AConditionIsWaitedForWithoutTheMutex) {
  Mutex mutex(LockRank::kWorkers);
  Condition changed;
  bool is_set = false;
  std::thread sets([&] {
    const std::lock_guard held(mutex);
    is_set = true;
    changed.NotifyAll();
  });
  std::unique_lock held(mutex);
  while (!is_set) changed.Wait(held);
  EXPECT_TRUE(held.owns_lock());
  held.unlock();
  sets.join();
}

TEST(MutexTest, RanksBeginAnewInACallOfTheProgram) {
  Mutex heap(LockRank::kHeap);
  const std::lock_guard held(heap);
  {
    const OutsideCall outside;
    Take(LockRank::kOpenPool, LockRank::kHeap);
  }
  EXPECT_DIES_IF_CHECKED(Take(LockRank::kOpenPool, LockRank::kGuard),
                         "holds Heap::mutex_ takes OpenPool::mutex_");
}

TEST(MutexTest, TheProgramIsCalledWithMutexesOfAPoolOnly) {
  const auto call_with = [](LockRank rank) {
    Mutex mutex(rank);
    const std::lock_guard held(mutex);
    const OutsideCall outside;
  };
  for (const LockRank rank :
       {LockRank::kOpenPool, LockRank::kHeap, LockRank::kGuard, LockRank::kCarvedMedium}) {
    call_with(rank);
  }
  for (int rank = static_cast<int>(LockRank::kCarvedMedium) + 1; rank < kRanks; ++rank) {
    EXPECT_DIES_IF_CHECKED(call_with(RankAt(rank)), "calls the program while it holds ") << rank;
  }
}

}  // namespace
}  // namespace morsel
