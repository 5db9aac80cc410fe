#include "morsel/sections/group_commit.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "os/testing/asleep_testing.h"

namespace morsel {
namespace {

// Threads that commit, each of which is asleep when the next one comes.
class Committers {
 public:
  void Add(const std::function<void()>& commit) {
    std::promise<pid_t> id;
    threads_.emplace_back([&id, commit] {
      id.set_value(static_cast<pid_t>(syscall(SYS_gettid)));
      commit();
    });
    ASSERT_TRUE(IsSeenAsleep(id.get_future().get()));
  }
  ~Committers() {
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::vector<std::thread> threads_;
};

struct GroupCommitTest : testing::Test {
  // A commit whose storing lasts until `go`, before or after it serves.
  Status Commit(std::promise<void>& go, bool serves_first, Status answer) {
    return commits.Commit([&](const std::function<void()>& serve) {
      ++leads;
      if (serves_first) serve();
      go.get_future().wait();
      if (!serves_first) serve();
      if (answer.ok()) return answer;
      return Fail(answer.code(), "what the one who led says");
    });
  }
  GroupCommit commits;
  std::atomic<int> leads = 0;
};

TEST_F(GroupCommitTest, WhoWaitsWhenItIsServedGetsTheSameAnswer) {
#ifdef __SANITIZE_THREAD__  // which does not follow a message's memory from a thread that is gone
  const std::vector<Code> codes = {Code::kOk};
#else
  const std::vector<Code> codes = {Code::kOk, Code::kIo};
#endif
  for (const Code code : codes) {
    leads = 0;
    std::promise<void> go;
    {
      Committers threads;
      threads.Add([&] { EXPECT_EQ(Commit(go, false, code).code(), code); });
      for (int i = 0; i < 5; ++i) {
        threads.Add([&] {
          std::promise<void> unused;
          EXPECT_EQ(Commit(unused, true, Code::kOk).code(), code);
          if (code == Code::kOk) return;
          EXPECT_STREQ(LastError(), "what the one who led says");
        });
      }
      go.set_value();
    }
    EXPECT_EQ(leads, 1);
  }
}

// What they have done may not be in what is stored.
TEST_F(GroupCommitTest, WhoComesAfterThatWaitsForTheNext) {
  std::promise<void> first;
  std::promise<void> second;
  {
    Committers threads;
    threads.Add([&] { EXPECT_TRUE(Commit(first, true, Code::kOk).ok()); });
    threads.Add([&] { EXPECT_TRUE(Commit(second, false, Code::kOk).ok()); });
    threads.Add([&] { EXPECT_TRUE(Commit(second, false, Code::kOk).ok()); });
    first.set_value();
    second.set_value();
  }
  EXPECT_LE(leads, 3);
  EXPECT_GE(leads, 2);
}

#ifndef __SANITIZE_THREAD__  // as above
TEST_F(GroupCommitTest, WhoWaitsWhenNobodyIsServedGetsTheError) {
  std::promise<void> go;
  Committers threads;
  threads.Add([&] {
    const Status status = commits.Commit([&](const std::function<void()>&) {
      go.get_future().wait();
      return Fail(Code::kBusy, "a thread stays");
    });
    EXPECT_EQ(status.code(), Code::kBusy);
  });
  threads.Add([&] {
    const Status status =
        commits.Commit([&](const std::function<void()>&) { return Status(Code::kOk); });
    EXPECT_EQ(status.code(), Code::kBusy);
    EXPECT_STREQ(LastError(), "a thread stays");
  });
  go.set_value();
}
#endif

TEST_F(GroupCommitTest, EachIsServedByOneThatBeganLater) {
  constexpr int kThreads = 8;
  constexpr int kCommits = 300;
  std::atomic<int> done[kThreads] = {};
  std::atomic<int> stored[kThreads] = {};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 1; i <= kCommits; ++i) {
        done[thread] = i;
        const Status status = commits.Commit([&](const std::function<void()>& serve) {
          ++leads;
          serve();
          int seen[kThreads];
          for (int of = 0; of < kThreads; ++of) seen[of] = done[of];
          for (int of = 0; of < kThreads; ++of) stored[of] = seen[of];
          return Status(Code::kOk);
        });
        ASSERT_TRUE(status.ok());
        ASSERT_GE(stored[thread], i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(leads, kThreads * kCommits);
}

}  // namespace
}  // namespace morsel
