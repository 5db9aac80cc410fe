#include "base/thread_areas.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

namespace morsel {
namespace {

struct Area : ThreadArea {
  char bytes[100];
};

class ThreadAreasTest : public testing::Test {
 protected:
  ThreadArea* TakeInThreadThat(void (*ends)(ThreadArea*)) {
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
  ThreadArea* const other = TakeInThreadThat([](ThreadArea* area) { ThreadAreas::GiveBack(area); });
  EXPECT_NE(mine, other);
  EXPECT_NE(mine->owner.load(), 0u);
  EXPECT_FALSE(ThreadAreas::IsGone(mine, mine->owner.load()));
  EXPECT_TRUE(ThreadAreas::IsGone(other, owner_));
  ThreadAreas::GiveBack(mine);
}

TEST_F(ThreadAreasTest, AnAreaThatWasGivenBackIsUsedAgainWithAnotherNumber) {
  ThreadArea* const first = areas_.Take();
  const uint64_t owner = first->owner.load();
  ThreadAreas::GiveBack(first);
  EXPECT_TRUE(ThreadAreas::IsGone(first, owner));
  EXPECT_EQ(areas_.Take(), first);
  EXPECT_NE(first->owner.load(), owner);
  EXPECT_TRUE(ThreadAreas::IsGone(first, owner));
  ThreadAreas::GiveBack(first);
}

TEST_F(ThreadAreasTest, WhoEndsWithoutGivingBackIsGone) {
  ThreadArea* const left = TakeInThreadThat([](ThreadArea*) {});
  EXPECT_EQ(left->owner.load(), owner_);
  EXPECT_TRUE(ThreadAreas::IsGone(left, owner_));
  EXPECT_EQ(areas_.Take(), left);
  ThreadAreas::GiveBack(left);
}

TEST_F(ThreadAreasTest, AnAreaThatWasLeftIsTakenAtOnce) {
  ThreadArea* const left = TakeInThreadThat([](ThreadArea*) {});
  EXPECT_EQ(areas_.Take(), left);
  EXPECT_TRUE(ThreadAreas::IsGone(left, owner_)) << "somebody else has it";
  ThreadAreas::GiveBack(left);
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
  EXPECT_FALSE(ThreadAreas::IsGone(parents, owner));
  ThreadAreas::GiveBack(parents);
}

}  // namespace
}  // namespace morsel
