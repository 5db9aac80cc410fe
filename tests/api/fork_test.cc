// A forked child cannot use its parent's morsels, and is not blocked by what the parent's threads
// were doing.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "morsel/morsel.hpp"

namespace {

class Fork : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "fork." + std::to_string(getpid());
    std::filesystem::create_directory(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  morsel::Pool OpenPool(const std::string& name) {
    auto pool = morsel::Pool::open(directory_ + "/" + name, {.flags = MORSEL_CREATE});
    EXPECT_TRUE(pool) << morsel::last_error();
    return std::move(*pool);
  }
  static morsel::Morsel Open(morsel::Pool& pool) {
    auto opened = morsel::Morsel::open(pool, "m", {.flags = MORSEL_CREATE});
    EXPECT_TRUE(opened) << morsel::last_error();
    return std::move(*opened);
  }
  // Whether `child`, run in a fork, answers true. One that hangs is ended by the alarm.
  static bool InChild(const std::function<bool()>& child) {
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(60);
      _exit(child() ? 0 : 1);
    }
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  std::string directory_;
};

TEST_F(Fork, CallsOfTheChildFailAsBusyAndChangeNothing) {
  morsel::Pool pool = OpenPool("a");
  morsel::Morsel m = Open(pool);
  void* const block = m.malloc(100);
  ASSERT_TRUE(m.set_root("block", block).ok());
  std::vector<int, morsel::Allocator<int>> numbers(100, 7, morsel::Allocator<int>(m));
  EXPECT_TRUE(InChild([&] {
    const bool busy =
        morsel_checkpoint(m.handle()) == MORSEL_BUSY && morsel_close(m.handle()) == MORSEL_BUSY &&
        morsel_set_root(m.handle(), "block", nullptr) == MORSEL_BUSY && m.malloc(10) == nullptr &&
        morsel_size(m.handle()) == 0 && m.root("block") == nullptr && morsel_of(block) == nullptr &&
        morsel_pool_close(pool.handle()) == MORSEL_BUSY;
    m.free(block);
    numbers.~vector();  // what a child's exit does to the parent's containers
    return busy;
  }));
  EXPECT_EQ(m.root("block"), block);
  EXPECT_EQ(numbers[99], 7);
}

// Of such a child no handler is told.
TEST_F(Fork, CallsOfARawCloneFailAsBusyAndChangeNothing) {
  morsel::Pool pool = OpenPool("a");
  morsel::Morsel m = Open(pool);
  void* const block = m.malloc(100);
  m.free(m.malloc(100));  // from here on the short way of both is open
  const auto child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (child == 0) {
    alarm(60);
    bool busy = m.malloc(100) == nullptr && errno == EBUSY;
    m.free(block);
    busy = busy && morsel_checkpoint(m.handle()) == MORSEL_BUSY &&
           morsel_close(m.handle()) == MORSEL_BUSY && m.root("block") == nullptr &&
           morsel_usable_size(m.handle(), block) == 0;
    _exit(busy ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(m.set_root("block", block).ok()) << "it is live";
}

// A child has all files of its parent until its first handler, or until it runs another program. It
// is held there for the test.
TEST_F(Fork, WhatIsClosedIsFreeAlthoughAChildHasItsFiles) {
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  for (const bool carved : {false, true}) {
    SCOPED_TRACE(carved ? "carved" : "directory");
    const std::string path = directory_ + (carved ? "/carved" : "/directory");
    const morsel::PoolOptions pool_options = {
        .flags = MORSEL_CREATE | (carved ? unsigned{MORSEL_CARVED} : 0u),
        .size_bytes = carved ? uint64_t{16} << 20 : 0};
    const morsel::MorselOptions options = {.flags = MORSEL_CREATE |
                                                    (carved ? unsigned{MORSEL_FINE} : 0u)};
    std::optional<morsel::Pool> pool = *morsel::Pool::open(path, pool_options);
    std::optional<morsel::Morsel> m = *morsel::Morsel::open(*pool, "m", options);
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const auto child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (child == 0) {
      close(pipe_ends[1]);
      char byte;
      _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(pipe_ends[0]);
    EXPECT_TRUE(m->close().ok()) << morsel::last_error();
    EXPECT_TRUE(pool->close().ok()) << morsel::last_error();
    auto again = morsel::Pool::open(path);
    EXPECT_TRUE(again) << morsel::last_error();
    if (again) {
      EXPECT_EQ(morsel_remove(again->handle(), "m"), MORSEL_OK) << morsel::last_error();
      EXPECT_TRUE(morsel::Morsel::open(*again, "m", options)) << morsel::last_error();
    }
    close(pipe_ends[1]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

TEST_F(Fork, ThreadsOfTheParentDoNotBlockTheChild) {
  morsel::Pool busy_pool = OpenPool("busy");
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      const std::string name = "t" + std::to_string(t);
      while (!done) {
        auto m = morsel::Morsel::open(busy_pool, name, {.flags = MORSEL_CREATE});
        if (!m) continue;
        for (int i = 0; i < 100; ++i) m->free(m->malloc(100));
        (void)m->discard();
      }
    });
  }
  for (int i = 0; i < 30; ++i) {
    EXPECT_TRUE(InChild([&] {
      morsel::Pool pool = OpenPool("child");
      morsel::Morsel m = Open(pool);
      return m.malloc(100) != nullptr && m.close().ok() && pool.close().ok();
    })) << i;
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
