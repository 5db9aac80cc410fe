// Threads change a morsel in sections, and commit it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <future>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "morsel/morsel.hpp"
#include "os/testing/asleep_testing.h"
#include "os/testing/frames_testing.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/seed_testing.h"

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

pid_t MyThread() { return static_cast<pid_t>(syscall(SYS_gettid)); }

struct SectionsTest : testing::Test {
  morsel::Morsel Open(const morsel::MorselOptions& options = {.flags = MORSEL_CREATE}) {
    auto m = morsel::Morsel::open(pool_, "m", options);
    EXPECT_TRUE(m) << morsel::last_error();
    return std::move(*m);
  }
  morsel::Pool OpenPool() {
    auto pool = morsel::Pool::open(scratch_.At("pool"), {.flags = MORSEL_CREATE});
    EXPECT_TRUE(pool) << morsel::last_error();
    return std::move(*pool);
  }
  morsel::os::Scratch scratch_ = morsel::os::Scratch::OnDisk();
  morsel::Pool pool_ = OpenPool();
};

TEST_F(SectionsTest, EachCallAnswersWhereItIsNotAllowed) {
  morsel::Morsel m = Open();
  void* const block = m.malloc(16);
  ASSERT_TRUE(m.set_root("block", block).ok());
  EXPECT_EQ(morsel_begin(nullptr), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_end(m.handle()), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_commit(m.handle()), MORSEL_INVALID_ARGUMENT);
  ASSERT_EQ(morsel_begin(m.handle()), MORSEL_OK);
  EXPECT_EQ(morsel_checkpoint(m.handle()), MORSEL_INVALID_ARGUMENT);
  EXPECT_NE(std::strstr(morsel::last_error(), "section"), nullptr) << morsel::last_error();
  EXPECT_EQ(morsel_close(m.handle()), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_discard(m.handle()), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_export(pool_.handle(), "m", scratch_.At("image").c_str()),
            MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_resize(m.handle(), m.size() + 2 * kMiB), MORSEL_OK) << morsel::last_error();
  EXPECT_EQ(morsel_resize(m.handle(), 2 * kMiB), MORSEL_INVALID_ARGUMENT);
  ASSERT_EQ(morsel_begin(m.handle()), MORSEL_OK);
  EXPECT_EQ(morsel_commit(m.handle()), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_end(m.handle()), MORSEL_OK);
  // A child has neither the memory nor the section, whatever it calls, in any order.
  const pid_t child = fork();
  if (child == 0) {
    bool busy = true;
    for (const char call : std::string_view("becebebbeecceb")) {
      const morsel_code code = call == 'b'   ? morsel_begin(m.handle())
                               : call == 'e' ? morsel_end(m.handle())
                                             : morsel_commit(m.handle());
      busy = busy && code == MORSEL_BUSY;
    }
    _exit(busy ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(morsel_commit(m.handle()), MORSEL_OK) << morsel::last_error();
  ASSERT_TRUE(m.close().ok());
  morsel::Morsel reads = Open({.flags = MORSEL_READ_ONLY});
  EXPECT_EQ(morsel_begin(reads.handle()), MORSEL_PERMISSION);
  EXPECT_EQ(morsel_end(reads.handle()), MORSEL_PERMISSION);
  EXPECT_EQ(morsel_commit(reads.handle()), MORSEL_PERMISSION);
  EXPECT_FALSE(morsel::Update(reads).status().ok());
}

// Whoever stays in a section too long is named; what the other has ended is in the next commit.
TEST_F(SectionsTest, WhoWaitsTooLongIsBusyAndLosesNothing) {
  morsel::Morsel m = Open({.flags = MORSEL_CREATE, .patience_ms = 30});
  auto* const number = static_cast<uint64_t*>(m.calloc(1, sizeof(uint64_t)));
  ASSERT_TRUE(m.set_root("number", number).ok());
  std::promise<pid_t> inside;
  std::promise<void> ends;
  std::thread stays([&] {
    const morsel::Update update(m);
    inside.set_value(MyThread());
    ends.get_future().wait();
  });
  const std::string thread = std::to_string(inside.get_future().get());
  morsel::Update update(m);
  *number = 1;
  EXPECT_EQ(update.commit().code(), morsel::Code::kBusy);
  EXPECT_NE(std::strstr(morsel::last_error(), thread.c_str()), nullptr) << morsel::last_error();
  EXPECT_EQ(m.checkpoint().code(), morsel::Code::kBusy);
  ends.set_value();
  stays.join();
  EXPECT_TRUE(morsel::Update(m).commit().ok()) << morsel::last_error();
  ASSERT_TRUE(m.discard().ok());
  morsel::Morsel again = Open();
  EXPECT_EQ(*static_cast<uint64_t*>(again.root("number")), 1u);
}

// What a section does while another thread waits in a commit for its end.
TEST_F(SectionsTest, WhatASectionDoesNeedsNothingThatACommitHolds) {
  morsel::Morsel m = Open({.flags = MORSEL_CREATE, .patience_ms = 600'000});
  std::promise<pid_t> committer;
  morsel::Update update(m);
  std::thread commits([&] {
    morsel::Update mine(m);
    committer.set_value(MyThread());
    EXPECT_TRUE(mine.commit().ok()) << morsel::last_error();
  });
  ASSERT_TRUE(morsel::IsSeenAsleep(committer.get_future().get()));
  void* const large = m.malloc(8 * kMiB);  // the morsel grows
  ASSERT_NE(large, nullptr);
  void* const small = m.malloc(64);
  ASSERT_TRUE(m.set_root("small", small).ok());
  EXPECT_EQ(m.root("small"), small);
  m.free(large);
  EXPECT_TRUE(m.stat()) << morsel::last_error();
  EXPECT_TRUE(m.resize(m.size() + 2 * kMiB).ok()) << morsel::last_error();
  { const morsel::Update inner(m); }
  EXPECT_TRUE(update.end().ok());
  commits.join();
}

TEST_F(SectionsTest, AnUpdateEndsWithItsScopeAlsoByAnException) {
  morsel::Morsel m = Open({.flags = MORSEL_CREATE, .patience_ms = 1});
  try {
    const morsel::Update update(m);
    throw std::runtime_error("half-way");
  } catch (const std::runtime_error&) {
  }
  EXPECT_TRUE(m.checkpoint().ok()) << morsel::last_error();
  morsel::Update update(m);
  EXPECT_TRUE(update.commit().ok());
  EXPECT_TRUE(update.commit().ok()) << "it does nothing";
  EXPECT_TRUE(m.checkpoint().ok()) << "it is over";
}

// What a process says that it has committed, in memory that outlives it.
constexpr int kThreads = 4;
struct Said {
  std::atomic<uint64_t> committed[kThreads];
  std::atomic<uint64_t> total;
};

// Of each thread a list, whose length and last number it knows.
struct Node {
  Node* next;
  uint64_t number;
};
struct List {
  Node* first;
  uint64_t count;
  uint64_t sum;
};

[[noreturn]] void CommitForEver(const std::string& path, Said& said) {
  auto pool = morsel::Pool::open(path, {});
  auto m = pool ? morsel::Morsel::open(*pool, "m", {}) : pool.status();
  if (!m) _exit(1);
  List* const lists = static_cast<List*>(m->root("lists"));
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      List& list = lists[thread];
      for (;;) {
        morsel::Update update(*m);
        auto* const node = static_cast<Node*>(m->malloc(sizeof(Node)));
        if (node == nullptr) _exit(2);
        *node = {list.first, list.count + 1};
        list.first = node;
        ++list.count;
        list.sum += node->number;
        if (list.count % 5 == 0) {  // takes one out, too
          Node* const second = list.first->next;
          list.first->next = second->next;
          list.sum -= second->number;
          m->free(second);
        }
        const uint64_t count = list.count;
        if (!update.commit().ok()) _exit(3);
        said.committed[thread] = count;
        ++said.total;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  _exit(4);
}

TEST_F(SectionsTest, EachCommitIsDurableWithAllThatHadEndedBefore) {
  void* const shared =
      mmap(nullptr, sizeof(Said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  Said& said = *new (shared) Said{};
  {
    morsel::Morsel m = Open();
    ASSERT_TRUE(m.set_root("lists", m.calloc(kThreads, sizeof(List))).ok());
    ASSERT_TRUE(m.close().ok());
  }
  ASSERT_TRUE(pool_.close().ok());
  std::mt19937_64 random(morsel::TestSeed(1));
  for (int round = 0; round < 12; ++round) {
    const morsel::os::Setting log("MORSEL_LOG", round % 3 == 0   ? "never"
                                                : round % 3 == 1 ? "auto"
                                                                 : "always");
    const uint64_t until = said.total + 5 + random() % 200;
    const pid_t child = fork();
    if (child == 0) CommitForEver(scratch_.At("pool"), said);
    int status = 0;
    while (said.total < until && waitpid(child, &status, WNOHANG) == 0) std::this_thread::yield();
    ASSERT_EQ(kill(child, SIGKILL), 0);
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself: " << WEXITSTATUS(status);
    pool_ = OpenPool();
    morsel::Morsel m = Open({});
    const List* const lists = static_cast<const List*>(m.root("lists"));
    ASSERT_NE(lists, nullptr);
    uint64_t nodes = 0;
    for (int thread = 0; thread < kThreads; ++thread) {
      const List& list = lists[thread];
      EXPECT_GE(list.count, said.committed[thread]) << "thread " << thread;
      said.committed[thread] = list.count;
      uint64_t sum = 0;
      for (const Node* node = list.first; node != nullptr; node = node->next) {
        sum += node->number;
        ++nodes;
      }
      EXPECT_EQ(sum, list.sum) << "thread " << thread;
    }
    // The allocator is exact: a block of the lists, one of the root's table or record, no more.
    uint64_t live = 0;
    ASSERT_EQ(morsel_for_each_block(
                  m.handle(),
                  [](void*, size_t, void* count) {
                    ++*static_cast<uint64_t*>(count);
                    return 0;
                  },
                  &live),
              MORSEL_OK);
    EXPECT_EQ(live, nodes + 1);
    ASSERT_TRUE(m.discard().ok());
    ASSERT_TRUE(pool_.close().ok());
  }
  munmap(shared, sizeof(Said));
}

}  // namespace
