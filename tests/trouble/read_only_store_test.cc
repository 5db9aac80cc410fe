// A store into a morsel that is open for reading only ends the process with a sentence, and the
// program's own way with the signal stays its own.
#include <setjmp.h>

#include <csignal>
#include <cstring>
#include <string>

#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

sigjmp_buf back;
void JumpBack(int) { siglongjmp(back, 1); }

struct sigaction before_mine;
void PassOn(int number, siginfo_t* info, void* context) {
  constexpr char kText[] = "mine;";
  (void)!write(STDERR_FILENO, kText, sizeof kText - 1);
  before_mine.sa_sigaction(number, info, context);
}

// Each body runs in a process of its own that handles no SIGSEGV, as most programs do.
class ReadOnlyStoreTest : public TroubleTest {
 protected:
  void SetUp() override {
    testing::FLAGS_gtest_death_test_style = "fast";
    TroubleTest::SetUp();
    Make(directory_, 0, {"a", "b"});
    Make(carved_, MORSEL_CARVED, {"a"});
  }
  char* OpenAndFind(const std::string& path, uint32_t flags = MORSEL_READ_ONLY) {
    morsel_ = Open(OpenPool(path, flags), "a", flags);
    return static_cast<char*>(morsel_root(morsel_, "text"));
  }
  std::string Sentence(const std::string& path) const {
    return "^morsel: morsel 'a' of pool '" + path +
           "': a store at 0x[0-9a-f]+, offset 0x[0-9a-f]+, and it is open for reading only: open "
           "it without MORSEL_READ_ONLY to change it\n$";
  }
  static void Store(char* at) { *const_cast<volatile char*>(at) = 'x'; }

  morsel_t* morsel_ = nullptr;
};

TEST_F(ReadOnlyStoreTest, EndsTheProcessWithASentenceThatNamesTheMorsel) {
  for (const std::string& path : {directory_, carved_}) {
    EXPECT_EXIT(Store(OpenAndFind(path)), testing::KilledBySignal(SIGSEGV), Sentence(path));
  }
}

TEST_F(ReadOnlyStoreTest, OfEachThreadAndAddressIsTold) {
  EXPECT_EXIT(
      {
        OpenAndFind(directory_);
        std::memset(static_cast<char*>(morsel_base(morsel_)) + (1 << 20), 1, 64);
      },
      testing::KilledBySignal(SIGSEGV), "offset 0x100000,");
}

TEST_F(ReadOnlyStoreTest, NothingElseIsSaid) {
  // Behind the end, in a morsel that was closed, nowhere, and where others have sent the signal.
  EXPECT_EXIT(
      {
        OpenAndFind(directory_);
        Store(static_cast<char*>(morsel_base(morsel_)) + morsel_size(morsel_));
      },
      testing::KilledBySignal(SIGSEGV), "^$");
  EXPECT_EXIT(
      {
        char* const text = OpenAndFind(directory_);
        (void)morsel_close(morsel_);
        Store(text);
      },
      testing::KilledBySignal(SIGSEGV), "^$");
  EXPECT_EXIT(
      {
        OpenAndFind(directory_);
        Store(reinterpret_cast<char*>(16));
      },
      testing::KilledBySignal(SIGSEGV), "^$");
  for (const auto send : {+[] { (void)raise(SIGSEGV); }, +[] { (void)kill(getpid(), SIGSEGV); }}) {
    EXPECT_EXIT(
        {
          OpenAndFind(directory_);
          send();
        },
        testing::KilledBySignal(SIGSEGV), "^$");
  }
}

TEST_F(ReadOnlyStoreTest, AHandlerOfTheProgramStaysItsOwn) {
  // Set before the morsel is opened, and after.
  for (const bool is_early : {true, false}) {
    EXPECT_EXIT(
        {
          if (is_early) (void)signal(SIGSEGV, JumpBack);
          char* const text = OpenAndFind(directory_);
          if (!is_early) (void)signal(SIGSEGV, JumpBack);
          if (sigsetjmp(back, 1) == 0) Store(text);
          _exit(7);
        },
        testing::ExitedWithCode(7), "^$");
  }
  EXPECT_EXIT(
      {
        (void)signal(SIGSEGV, SIG_IGN);
        OpenAndFind(directory_);
        raise(SIGSEGV);
        _exit(7);
      },
      testing::ExitedWithCode(7), "^$");
}

TEST_F(ReadOnlyStoreTest, AHandlerMayPassTheSignalOn) {
  EXPECT_EXIT(
      {
        char* const text = OpenAndFind(directory_);
        struct sigaction action = {};
        action.sa_sigaction = PassOn;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGSEGV, &action, &before_mine);
        Store(text);
      },
      testing::KilledBySignal(SIGSEGV), "^mine;morsel: morsel 'a'[^\n]*\n$");
}

// Who only writes is not concerned.
TEST_F(ReadOnlyStoreTest, WithoutAMorselForReadingTheSignalIsLeftAlone) {
  EXPECT_EXIT(
      {
        OpenAndFind(directory_, 0);
        struct sigaction now;
        sigaction(SIGSEGV, nullptr, &now);
        _exit(now.sa_handler == SIG_DFL ? 7 : 1);
      },
      testing::ExitedWithCode(7), "^$");
}

}  // namespace
}  // namespace morsel::trouble
