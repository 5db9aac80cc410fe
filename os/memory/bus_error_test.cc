#include "os/memory/bus_error.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>

#include "base/quiet_threads.h"
#include "base/units.h"

namespace morsel::os {
namespace {

constexpr uint64_t kFilePages = 4;

// Maps a file whose second half was then cut off.
class BusErrorTest : public testing::Test {
 protected:
  void SetUp() override {
    const int file = memfd_create("morsel", MFD_CLOEXEC);
    ASSERT_EQ(ftruncate(file, kFilePages * kPageBytes), 0);
    void* const mapped =
        mmap(nullptr, kFilePages * kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ASSERT_NE(mapped, MAP_FAILED);
    ASSERT_EQ(ftruncate(file, kFilePages / 2 * kPageBytes), 0);
    close(file);
    memory_ = static_cast<volatile char*>(mapped);
  }
  void TearDown() override { munmap(const_cast<char*>(memory_), kFilePages * kPageBytes); }
  const void* memory() const { return const_cast<const char*>(memory_); }
  void Watch(Watches what = Watches::kMorsel) const {
    WatchForBusErrors(what, memory(), kFilePages * kPageBytes, 0x200000, "morsel 'graph'",
                      "/dev/dax0.0");
  }
  void Touch(uint64_t page) { memory_[page * kPageBytes + 0x10] = 1; }

  volatile char* memory_ = nullptr;
};

sigjmp_buf back;
void JumpBack(int) { siglongjmp(back, 1); }

TEST_F(BusErrorTest, EndsTheProcessAndNamesMorselOffsetAndDevice) {
  EXPECT_EXIT(
      {
        Watch();
        Touch(1);  // the first half is still there
        Touch(2);
      },
      testing::KilledBySignal(SIGBUS),
      "morsel: morsel 'graph': an access at 0x[0-9a-f]*010 failed, offset 0x202010 of "
      "'/dev/dax0.0': there is nothing behind it");
}

TEST_F(BusErrorTest, CallsThePreviousHandler) {
  EXPECT_EXIT(
      {
        signal(SIGBUS, JumpBack);
        Watch();
        if (sigsetjmp(back, 1) == 0) Touch(3);
        _exit(7);
      },
      testing::ExitedWithCode(7), "offset 0x203010");
}

TEST_F(BusErrorTest, WritesNothingForUnwatchedMemoryOrSentSignals) {
  EXPECT_EXIT(
      {
        Watch();
        ForgetBusErrors(memory(), kFilePages * kPageBytes);
        Touch(2);
      },
      testing::KilledBySignal(SIGBUS), "^$");
  EXPECT_EXIT(
      {
        Watch();
        raise(SIGBUS);
      },
      testing::KilledBySignal(SIGBUS), "^$");
}

// What is sent is ignored as before, a fault is not.
TEST_F(BusErrorTest, WhatIsIgnoredStaysIgnoredWhenItIsSent) {
  EXPECT_EXIT(
      {
        signal(SIGBUS, SIG_IGN);
        Watch(Watches::kTables);
        kill(getpid(), SIGBUS);
        Watch();
        kill(getpid(), SIGBUS);
        raise(SIGBUS);
        std::thread([] { pthread_kill(pthread_self(), SIGBUS); }).join();
        _exit(7);
      },
      testing::ExitedWithCode(7), "^$");
  EXPECT_EXIT(
      {
        signal(SIGBUS, SIG_IGN);
        Watch();
        Touch(2);
      },
      testing::KilledBySignal(SIGBUS), "offset 0x202010");
}

TEST_F(BusErrorTest, SpeaksInEveryThread) {
  EXPECT_EXIT(
      {
        Watch();
        std::thread([this] { Touch(2); }).join();
      },
      testing::KilledBySignal(SIGBUS), "offset 0x202010");
  // One of the library's own.
  EXPECT_EXIT(
      {
        Watch();
        std::optional<QuietThreads> quiet(std::in_place);
        std::thread thread([this] { Touch(2); });
        quiet.reset();
        thread.join();
      },
      testing::KilledBySignal(SIGBUS), "offset 0x202010");
}

// The program's handler counts from the first morsel on, whatever pools are open before.
TEST_F(BusErrorTest, AHandlerThatIsSetBetweenPoolAndMorselComesAfterTheMessage) {
  EXPECT_EXIT(
      {
        Watch(Watches::kTables);
        signal(SIGBUS, JumpBack);
        Watch();
        if (sigsetjmp(back, 1) == 0) Touch(3);
        _exit(7);
      },
      testing::ExitedWithCode(7), "offset 0x203010");
}

struct sigaction before_mine;
void PassOn(int number, siginfo_t* info, void* context) {
  constexpr char kText[] = "mine";
  (void)!write(STDERR_FILENO, kText, sizeof kText - 1);
  before_mine.sa_sigaction(number, info, context);
}

TEST_F(BusErrorTest, AHandlerMayPassTheSignalOnToTheOneBefore) {
  for (const Watches first : {Watches::kTables, Watches::kMorsel}) {
    EXPECT_EXIT(
        {
          Watch(first);
          struct sigaction action = {};
          action.sa_sigaction = PassOn;
          action.sa_flags = SA_SIGINFO;
          sigaction(SIGBUS, &action, &before_mine);
          Watch(Watches::kMorsel);
          Touch(2);
        },
        testing::KilledBySignal(SIGBUS),
        first == Watches::kMorsel ? "^mine.*offset 0x202010[^\n]*\n$"
                                  : "offset 0x202010[^\n]*\nmine$");
  }
}

TEST_F(BusErrorTest, TablesAreNamedBeforeThereIsAMorsel) {
  EXPECT_EXIT(
      {
        Watch(Watches::kTables);
        Touch(2);
      },
      testing::KilledBySignal(SIGBUS), "offset 0x202010");
}

TEST_F(BusErrorTest, PartBeforeAForgottenPartStaysWatched) {
  EXPECT_EXIT(
      {
        Watch();
        ForgetBusErrors(const_cast<const char*>(memory_) + 3 * kPageBytes, kPageBytes);
        Touch(2);
      },
      testing::KilledBySignal(SIGBUS), "offset 0x202010");
  EXPECT_EXIT(
      {
        Watch();
        ForgetBusErrors(const_cast<const char*>(memory_) + 3 * kPageBytes, kPageBytes);
        Touch(3);
      },
      testing::KilledBySignal(SIGBUS), "^$");
}

TEST_F(BusErrorTest, ForkedChildWatchesNothing) {
  EXPECT_EXIT(
      {
        Watch();
        BusErrorsBeforeFork();
        BusErrorsAfterFork(/*child=*/true);
        Touch(2);
      },
      testing::KilledBySignal(SIGBUS), "^$");
}

}  // namespace
}  // namespace morsel::os
