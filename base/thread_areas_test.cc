#include "base/thread_areas.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>
#include <vector>

namespace morsel {
namespace {

struct Area : ThreadArea {
  char bytes[100];
};

class ThreadAreasTest : public testing::Test {
 protected:
  ThreadArea* TakeInThreadThat(const std::function<void(ThreadArea*)>& ends) {
    ThreadArea* taken = nullptr;
    std::thread([&] {
      taken = areas_.Take();
      owner_ = taken->owner.load();
      ends(taken);
    }).join();
    return taken;
  }

  ThreadAreas areas_{sizeof(Area), /*empty_in_child=*/true};
  uint64_t owner_ = 0;
};

TEST_F(ThreadAreasTest, EachThreadHasItsOwn) {
  ThreadArea* const mine = areas_.Take();
  ThreadArea* const other = TakeInThreadThat([this](ThreadArea* area) { areas_.GiveBack(area); });
  EXPECT_NE(mine, other);
  EXPECT_NE(mine->owner.load(), 0u);
  areas_.GiveBack(mine);
}

TEST_F(ThreadAreasTest, AnAreaThatWasGivenBackIsUsedAgainWithAnotherNumber) {
  ThreadArea* const first = areas_.Take();
  const uint64_t owner = first->owner.load();
  areas_.GiveBack(first);
  EXPECT_EQ(areas_.Take(), first);
  EXPECT_NE(first->owner.load(), owner);
  areas_.GiveBack(first);
}

TEST_F(ThreadAreasTest, AnAreaThatWasLeftIsTakenAtOnce) {
  ThreadArea* const left = TakeInThreadThat([](ThreadArea*) {});
  EXPECT_EQ(left->owner.load(), owner_);
  EXPECT_EQ(areas_.Take(), left);
  EXPECT_NE(left->owner.load(), owner_);
  areas_.GiveBack(left);
}

// Threads of which a few end without giving their areas back, beside many that stay.
TEST_F(ThreadAreasTest, AreasThatAreLeftDoNotAddUp) {
  constexpr int kStay = 100;
  constexpr int kCome = 1000;
  std::atomic<bool> end{false};
  std::atomic<int> taken{0};
  std::vector<std::thread> stay;
  for (int i = 0; i < kStay; ++i) {
    stay.emplace_back([&] {
      ThreadArea* const area = areas_.Take();
      taken.fetch_add(1);
      end.wait(false);
      areas_.GiveBack(area);
    });
  }
  while (taken.load() != kStay) std::this_thread::yield();
  std::set<ThreadArea*> all;
  for (int i = 0; i < kCome; ++i) {
    all.insert(TakeInThreadThat([&](ThreadArea* area) {
      if (i % 3 != 0) areas_.GiveBack(area);
    }));
  }
  EXPECT_LE(all.size(), kStay / (ThreadAreas::kLooks - 1) + 2u);
  end.store(true);
  end.notify_all();
  for (std::thread& thread : stay) thread.join();
}

// Threads that take areas and give them back at the same time never have the same one.
TEST_F(ThreadAreasTest, NoAreaHasTwoOwners) {
  std::vector<std::thread> threads;
  std::atomic<int> shared{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20'000; ++round) {
        ThreadArea* const area = areas_.Take();
        const uint64_t owner = area->owner.load();
        std::atomic_ref<char> byte(static_cast<Area*>(area)->bytes[0]);
        if (byte.fetch_add(1) != 0) shared.fetch_add(1);
        byte.fetch_sub(1);
        if (area->owner.load() != owner) shared.fetch_add(1);
        areas_.GiveBack(area);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared.load(), 0);
}

TEST_F(ThreadAreasTest, AChildHasNoneOfItsParents) {
  ThreadArea* const parents = areas_.Take();
  const uint64_t owner = parents->owner.load();
  // By clone(2) alone, of which no handler is told.
  const auto child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (child == 0) {
    const bool empty = parents->owner.load() == 0;
    ThreadArea* const own = areas_.Take();
    _exit(empty && own != nullptr && own != parents && own->owner.load() != 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(parents->owner.load(), owner);
  areas_.GiveBack(parents);
}

}  // namespace
}  // namespace morsel
