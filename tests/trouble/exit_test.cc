// A process ends while its threads are in the library, in every way that a program may choose. It
// ends at once and as it was told to, and what was persisted and linked is there.
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

#include "morsel/morsel.hpp"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

constexpr size_t kThreads = 4;
constexpr uint64_t kRounds = 500;
constexpr int kExitCode = 5;
constexpr unsigned kSecondsMax = 60;

struct Object {
  uint64_t serial;
  uint64_t check;  ///< ~serial
};
struct Slots {
  Object* newest[kThreads];
};

/// The program: its threads make an object, link it in place of the last and free that, again and
/// again.
struct Program {
  morsel_pool_t* pool = nullptr;
  morsel_t* morsel = nullptr;
  Slots* slots = nullptr;
  std::atomic<uint64_t> rounds[kThreads] = {};
};
Program program;

void Work(size_t thread) {
  for (;;) {
    const uint64_t serial = program.rounds[thread] + 1;
    auto* const object = static_cast<Object*>(morsel_malloc(program.morsel, sizeof(Object)));
    if (object == nullptr) return;
    *object = {serial, ~serial};
    (void)morsel_persist(program.morsel, object, sizeof *object);
    Object* const last = program.slots->newest[thread];
    program.slots->newest[thread] = object;
    (void)morsel_persist(program.morsel, &program.slots->newest[thread], sizeof(Object*));
    morsel_free(program.morsel, last);
    program.rounds[thread] = serial;
  }
}

void WaitUntilAllWork() {
  for (const std::atomic<uint64_t>& rounds : program.rounds) {
    while (rounds < kRounds) sched_yield();
  }
}

class ExitTest : public TroubleTest {
 protected:
  void SetUp() override {
    TroubleTest::SetUp();
    Make(carved_, MORSEL_CARVED, {"a"});
  }

  void Open() {
    program.pool = OpenPool(carved_);
    program.morsel = TroubleTest::Open(program.pool, "a");
    program.slots = static_cast<Slots*>(morsel_calloc(program.morsel, 1, sizeof(Slots)));
    (void)morsel_persist(program.morsel, program.slots, sizeof(Slots));
    ASSERT_EQ(morsel_set_root(program.morsel, "slots", program.slots), MORSEL_OK);
  }

  /// Runs the program in a process of its own, whose end is `end`, and expects its exit code.
  void RunUntil(const std::function<void()>& end) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      alarm(kSecondsMax);
      Open();
      for (size_t i = 0; i < kThreads; ++i) std::thread(Work, i).detach();
      WaitUntilAllWork();
      end();
      _exit(99);  // it had to end by itself
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), kExitCode);
  }

  /// Each object that was linked is there, as it was stored, and nobody else's.
  void ExpectAllIsThere() {
    InChild([this] {
      morsel_pool_t* const pool = OpenPool(carved_);
      morsel_t* const morsel = TroubleTest::Open(pool, "a");
      const auto* const slots = static_cast<Slots*>(morsel_root(morsel, "slots"));
      ASSERT_NE(slots, nullptr);
      std::vector<void*> all;
      while (void* const block = morsel_malloc(morsel, sizeof(Object))) {
        std::memset(block, 0xff, sizeof(Object));
        all.push_back(block);
      }
      EXPECT_GT(all.size(), 1000u);
      for (const Object* const object : slots->newest) {
        ASSERT_NE(object, nullptr);
        EXPECT_GE(object->serial, kRounds);
        EXPECT_EQ(object->check, ~object->serial);
      }
      for (void* const block : all) morsel_free(morsel, block);
      EXPECT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
      EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK) << morsel_last_error();
    });
  }
};

TEST_F(ExitTest, MainExits) {
  RunUntil([] { std::exit(kExitCode); });
  ExpectAllIsThere();
}

TEST_F(ExitTest, AThreadExits) {
  RunUntil([] {
    std::thread([] {
      morsel_free(program.morsel, morsel_malloc(program.morsel, 100));
      std::exit(kExitCode);
    }).join();
  });
  ExpectAllIsThere();
}

TEST_F(ExitTest, AThreadQuickExits) {
  RunUntil([] {
    std::at_quick_exit([] { morsel_free(program.morsel, morsel_malloc(program.morsel, 100)); });
    std::thread([] { std::quick_exit(kExitCode); }).join();
  });
  ExpectAllIsThere();
}

TEST_F(ExitTest, HandlersOfTheExitUseAndEndTheMorsel) {
  RunUntil([] {
    std::atexit([] {
      const std::string text = morsel_code_name(morsel_checkpoint(program.morsel));
      if (text != "MORSEL_OK") _exit(98);
      morsel_free(program.morsel, morsel_malloc(program.morsel, 100));
    });
    std::exit(kExitCode);
  });
  ExpectAllIsThere();
}

#ifndef __SANITIZE_THREAD__  // which follows no thread that leaves by a raw system call
TEST_F(ExitTest, TheFirstThreadIsGoneBeforeTheOthers) {
  RunUntil([] {
    // The process goes on until another thread ends it.
    std::thread([] {
      const uint64_t then = program.rounds[0] + kRounds;
      while (program.rounds[0] < then) sched_yield();
      std::exit(kExitCode);
    }).detach();
    syscall(SYS_exit, 0);
  });
  ExpectAllIsThere();
}
#endif

/// Static objects of the program end after the thread-local ones of its first thread.
TEST_F(ExitTest, StaticHandlesCloseWhenTheProcessEnds) {
  InChild([this] { ASSERT_NO_FATAL_FAILURE(Open()); });
  const pid_t child = fork();
  if (child == 0) {
    alarm(kSecondsMax);
    static std::optional<Pool> pool;
    static std::optional<Morsel> morsel;
    pool.emplace(std::move(*Pool::open(carved_)));
    morsel.emplace(std::move(*Morsel::open(*pool, "a")));
    for (int i = 0; i < 8; ++i) {
      std::thread([] { morsel->free(morsel->malloc(100)); }).join();
    }
    morsel->free(morsel->malloc(100));
    std::exit(kExitCode);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), kExitCode);
  InChild([this] {
    morsel_pool_t* const reader = OpenPool(carved_);
    morsel_info info{};
    morsel_t* const again = TroubleTest::Open(reader, "a");
    ASSERT_EQ(morsel_stat(again, &info), MORSEL_OK) << morsel_last_error();
    EXPECT_GT(info.generation, 0u);
    EXPECT_EQ(morsel_close(again), MORSEL_OK);
  });
}

/// A thread that nobody waits for ends when the morsel that it used is closed, and another is open.
TEST_F(ExitTest, DetachedThreadsEndAfterTheClose) {
  InChild([this] {
    alarm(kSecondsMax);
    ASSERT_NO_FATAL_FAILURE(Open());
    std::atomic<int> worked = 0;
    std::atomic<int> ended = 0;
    std::atomic<bool> may_end = false;
    struct AtEnd {
      std::atomic<int>* count = nullptr;
      ~AtEnd() {
        if (count != nullptr) ++*count;
      }
    };
    for (size_t i = 0; i < kThreads; ++i) {
      std::thread([&] {
        static thread_local AtEnd at_end;
        at_end.count = &ended;
        for (int round = 0; round < 100; ++round) {
          morsel_free(program.morsel, morsel_malloc(program.morsel, 100));
        }
        ++worked;
        while (!may_end) sched_yield();
      }).detach();
    }
    while (worked < static_cast<int>(kThreads)) sched_yield();
    ASSERT_EQ(morsel_close(program.morsel), MORSEL_OK) << morsel_last_error();
    morsel_t* const another = TroubleTest::Open(program.pool, "b", MORSEL_CREATE | kFine);
    may_end = true;
    while (ended < static_cast<int>(kThreads)) {
      morsel_free(another, morsel_malloc(another, 100));
    }
    EXPECT_EQ(morsel_close(another), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_pool_close(program.pool), MORSEL_OK) << morsel_last_error();
  });
}

}  // namespace
}  // namespace morsel::trouble
