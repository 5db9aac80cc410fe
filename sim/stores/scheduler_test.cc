#include "sim/stores/scheduler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>

#include "sim/stores/recorder.h"

namespace morsel::sim {
namespace {

// What is left of 3 increments by each of two threads that load, then store.
int LostIncrements(uint64_t seed) {
  std::atomic<int> count = 0;
  const auto increment = [&] {
    for (int i = 0; i < 3; ++i) count.store(count.load() + 1);
  };
  Recorder::Get().Begin(false);
  EXPECT_EQ(Scheduler::Run({increment, increment}, seed), "");
  (void)Recorder::Get().End();
  return count;
}

TEST(SchedulerTest, TheSameSeedGivesTheSameInterleaving) {
  std::set<int> found;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const int count = LostIncrements(seed);
    EXPECT_EQ(LostIncrements(seed), count) << seed;
    found.insert(count);
  }
  EXPECT_TRUE(found.contains(6));
  EXPECT_TRUE(found.contains(3));
  EXPECT_GE(found.size(), 4u);
}

TEST(SchedulerTest, MutexesKeepThreadsApart) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::mutex mutex;
    std::atomic<int> count = 0;
    const auto increment = [&] {
      for (int i = 0; i < 3; ++i) {
        const std::lock_guard lock(mutex);
        count.store(count.load() + 1);
      }
    };
    Recorder::Get().Begin(false);
    EXPECT_EQ(Scheduler::Run({increment, increment, increment}, seed), "");
    (void)Recorder::Get().End();
    EXPECT_EQ(count, 9) << seed;
  }
}

// Both mutexes outlive the threads, which are left.
TEST(SchedulerTest, ReportsADeadlock) {
  static std::mutex one;
  static std::mutex other;
  const auto both = [](std::mutex& first, std::mutex& second) {
    first.lock();
    second.lock();
    second.unlock();
    first.unlock();
  };
  bool deadlocked = false;
  for (uint64_t seed = 0; seed < 50 && !deadlocked; ++seed) {
    Recorder::Get().Begin(false);
    deadlocked =
        !Scheduler::Run({[&] { both(one, other); }, [&] { both(other, one); }}, seed).empty();
    (void)Recorder::Get().End();
  }
  EXPECT_TRUE(deadlocked);
}

TEST(SchedulerTest, ReportsThreadsThatNeverEnd) {
  static std::atomic<bool> never = false;
  Recorder::Get().Begin(false);
  const std::string message = Scheduler::Run({[] {
                                               while (!never) {
                                               }
                                             }},
                                             1);
  (void)Recorder::Get().End();
  EXPECT_NE(message, "");
}

}  // namespace
}  // namespace morsel::sim
