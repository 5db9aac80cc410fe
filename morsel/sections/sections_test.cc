#include "morsel/sections/sections.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "alloc/heap/threads/end_of_thread.h"
#include "base/error.h"
#include "os/testing/asleep_testing.h"

namespace morsel {
namespace {

pid_t MyThread() { return static_cast<pid_t>(syscall(SYS_gettid)); }

TEST(Sections, LieInsideOfEachOther) {
  Sections gate(1000);
  EXPECT_EQ(gate.Depth(), 0u);
  EXPECT_FALSE(gate.TryBegin()) << "it has begun none yet";
  EXPECT_FALSE(gate.End());
  ASSERT_TRUE(gate.Begin().ok());
  ASSERT_TRUE(gate.TryBegin());
  EXPECT_EQ(gate.Depth(), 2u);
  EXPECT_TRUE(gate.End());
  EXPECT_TRUE(gate.End());
  EXPECT_FALSE(gate.End());
  EXPECT_TRUE(gate.Close("a test").has_value());
}

TEST(Sections, OfManyGatesAreToldApart) {
  std::vector<std::unique_ptr<Sections>> gates;
  for (int i = 0; i < 20; ++i) {
    gates.push_back(std::make_unique<Sections>(uint64_t{0}));
    ASSERT_TRUE(gates.back()->Begin().ok());
  }
  for (auto& gate : gates) {
    EXPECT_EQ(gate->Depth(), 1u);
    EXPECT_TRUE(gate->End());
    EXPECT_TRUE(gate->Close("a test").has_value());
  }
  gates.resize(3);
  Sections later(0);
  EXPECT_EQ(later.Depth(), 0u);
}

TEST(Sections, WhoIsInsideIsWaitedForAndWhoComesWaits) {
  Sections gate(600'000);
  ASSERT_TRUE(gate.Begin().ok());
  std::promise<pid_t> closer;
  std::optional<Sections::Closed> closed;
  std::thread closes([&] {
    closer.set_value(MyThread());
    Result<Sections::Closed> done = gate.Close("a test");
    ASSERT_TRUE(done.has_value());
    closed.emplace(std::move(*done));
  });
  EXPECT_TRUE(IsSeenAsleep(closer.get_future().get()));
  EXPECT_FALSE(closed.has_value());
  // An inner one does not wait.
  ASSERT_TRUE(gate.Begin().ok());
  EXPECT_TRUE(gate.End());
  EXPECT_TRUE(gate.End());
  closes.join();
  ASSERT_TRUE(closed.has_value());
  std::promise<pid_t> comer;
  std::atomic<bool> has_begun = false;
  std::thread comes([&] {
    comer.set_value(MyThread());
    ASSERT_TRUE(gate.Begin().ok());
    has_begun = true;
    EXPECT_TRUE(gate.End());
  });
  EXPECT_TRUE(IsSeenAsleep(comer.get_future().get()));
  EXPECT_FALSE(has_begun);
  closed.reset();
  comes.join();
  EXPECT_TRUE(has_begun);
}

// What is stored in sections by several threads is never seen half done while the gate is closed.
TEST(Sections, AreWholeWhileTheGateIsClosed) {
  Sections gate(600'000);
  constexpr int kThreads = 4;
  struct alignas(64) Pair {
    uint64_t first = 0;
    uint64_t second = 0;
  };
  std::vector<Pair> pairs(kThreads);
  std::atomic<bool> stops = false;
  std::vector<std::thread> threads;
  for (Pair& pair : pairs) {
    threads.emplace_back([&] {
      while (!stops) {
        ASSERT_TRUE(gate.TryBegin() || gate.Begin().ok());
        ++pair.first;
        ++pair.second;
        ASSERT_TRUE(gate.End());
      }
    });
  }
  for (int i = 0; i < 300; ++i) {
    const Result<Sections::Closed> closed = gate.Close("a test");
    ASSERT_TRUE(closed.has_value()) << LastError();
    for (const Pair& pair : pairs) ASSERT_EQ(pair.first, pair.second);
  }
  stops = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(Sections, WhoStaysInsideIsNamed) {
  Sections gate(30);
  std::promise<pid_t> inside;
  std::promise<void> ends;
  std::thread stays([&] {
    ASSERT_TRUE(gate.Begin().ok());
    inside.set_value(MyThread());
    ends.get_future().wait();
    EXPECT_TRUE(gate.End());
  });
  const pid_t thread = inside.get_future().get();
  EXPECT_EQ(gate.Close("a test").error(), Code::kBusy);
  EXPECT_NE(std::strstr(LastError(), std::to_string(thread).c_str()), nullptr) << LastError();
  // The gate is open again.
  ASSERT_TRUE(gate.Begin().ok());
  EXPECT_TRUE(gate.End());
  ends.set_value();
  stays.join();
  EXPECT_TRUE(gate.Close("a test").has_value());
}

// A thread in a section waits for a lock; who has it begins a section. Only an open gate helps.
TEST(Sections, TheGateOpensForWhoIsWaitedForInASection) {
  Sections gate(600'000);
  std::mutex lock;
  std::promise<void> is_locked;
  std::promise<void> is_inside;
  std::promise<pid_t> closer;
  std::thread has_lock([&] {
    const std::lock_guard held(lock);
    is_locked.set_value();
    ASSERT_TRUE(IsSeenAsleep(closer.get_future().get()));  // with the gate closed
    ASSERT_TRUE(gate.Begin().ok());
    EXPECT_TRUE(gate.End());
  });
  is_locked.get_future().wait();
  std::thread is_in_section([&] {
    ASSERT_TRUE(gate.Begin().ok());
    is_inside.set_value();
    const std::lock_guard held(lock);
    EXPECT_TRUE(gate.End());
  });
  is_inside.get_future().wait();
  closer.set_value(MyThread());
  EXPECT_TRUE(gate.Close("a test").has_value()) << LastError();
  has_lock.join();
  is_in_section.join();
}

TEST(Sections, AThreadThatEndsInsideIsTakenOut) {
  Sections gate(600'000);
  for (int i = 0; i < 3; ++i) {
    std::thread([&] {
      ASSERT_TRUE(gate.Begin().ok());
      ASSERT_TRUE(gate.Begin().ok());
    }).join();
    EXPECT_TRUE(gate.Close("a test").has_value());
    // Another thread gets what that one had, and is in no section.
    std::thread([&] { EXPECT_EQ(gate.Depth(), 0u); }).join();
  }
  // Nobody is told of this one's end.
  std::thread([&] {
    ASSERT_TRUE(gate.Begin().ok());
    alloc::EndThread();
  }).join();
  EXPECT_TRUE(gate.Close("a test").has_value());
}

TEST(Sections, AForkedChildIsInNone) {
  Sections gate(600'000);
  ASSERT_TRUE(gate.Begin().ok());
  const pid_t child = fork();
  if (child == 0) {
    const bool is_in_one = gate.TryBegin() || gate.End() || gate.Depth() > 0 || gate.TryBegin();
    _exit(is_in_one ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(gate.End());
}

}  // namespace
}  // namespace morsel
