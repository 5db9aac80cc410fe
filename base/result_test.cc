#include "base/result.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "base/error.h"

namespace morsel {
namespace {

static_assert(std::is_trivially_copyable_v<Status>);
static_assert(std::is_trivially_copyable_v<Result<int>>);

Status Outer() {
  MORSEL_TRY(Fail(Code::kBusy, "pool '%s' is open in process %d", "p", 7));
  return Code::kOk;
}

TEST(Result, HoldsAValueOrACode) {
  Result<int> value = 5;
  EXPECT_TRUE(value.has_value());
  EXPECT_EQ(*value, 5);
  EXPECT_EQ(value.error(), Code::kOk);
  Result<int> failure = Code::kNotFound;
  EXPECT_FALSE(failure);
  EXPECT_EQ(failure.error(), Code::kNotFound);
}

TEST(Result, MovesMoveOnlyValues) {
  Result<std::unique_ptr<int>> made = std::make_unique<int>(3);
  std::unique_ptr<int> taken = std::move(made).value();
  EXPECT_EQ(*taken, 3);
}

Result<std::string> Letters() { return std::string(100, 'a'); }

TEST(Result, TemporaryCanBeIterated) {
  int letters = 0;
  for (const char letter : *Letters()) letters += letter == 'a';
  EXPECT_EQ(letters, 100);
}

TEST(ResultDeathTest, ValueOfAFailureAborts) {
  const Result<int> failure = Fail(Code::kIo, "the disk '%s' is gone", "d");
  EXPECT_DEATH(failure.value(), "has none: MORSEL_IO: the disk 'd' is gone");
  EXPECT_DEATH(*failure, "MORSEL_IO");
}

TEST(Error, TryReturnsTheFailureWithItsMessage) {
  EXPECT_EQ(Outer().code(), Code::kBusy);
  EXPECT_STREQ(LastError(), "pool 'p' is open in process 7");
  (void)Fail(Code::kBusy, "pool '%s'", "\x1b[2J\n\x7f");
  EXPECT_STREQ(LastError(), "pool '\\x1b[2J\\x0a\\x7f'");
  (void)Fail(Code::kBusy, "%s!", std::string(2 * kErrorTextBytes, '\n').c_str());
  EXPECT_EQ(std::string(LastError()).size(), kErrorTextBytes - 1);
  EXPECT_EQ(std::string(LastError()).rfind("\\x0a\\x0a", 0), 0u);
}

TEST(Error, ErrnoDecidesTheCode) {
  errno = ENOSPC;
  EXPECT_EQ(FailErrno("write of '%s'", "f").code(), Code::kNoSpace);
  EXPECT_STREQ(LastError(),
               "write of 'f': No space left on device; make room there, and try again");
  errno = EIO;
  EXPECT_EQ(FailErrno("write").code(), Code::kIo);
}

TEST(Error, EachThreadHasItsOwnMessage) {
  (void)Fail(Code::kIo, "mine");
  std::thread([] { (void)Fail(Code::kIo, "the other's"); }).join();
  EXPECT_STREQ(LastError(), "mine");
}

TEST(Error, KeepLastErrorRestoresTheMessage) {
  (void)Fail(Code::kIo, "the cause");
  {
    KeepLastError keep;
    (void)Fail(Code::kIo, "of cleaning up");
  }
  EXPECT_STREQ(LastError(), "the cause");
}

TEST(Error, KeepLastErrorRestoresALongMessageWholly) {
  const std::string cause(kErrorTextBytes - 1, 'c');
  (void)Fail(Code::kIo, "%s", cause.c_str());
  {
    const KeepLastError keep;
    (void)Fail(Code::kIo, "of cleaning up");
  }
  EXPECT_EQ(LastError(), cause);
}

TEST(Error, AMessageMayQuoteTheOneBefore) {
  (void)Fail(Code::kIo, "the cause");
  (void)Fail(Code::kIo, "it failed: %s", LastError());
  EXPECT_STREQ(LastError(), "it failed: the cause");
}

// The first thread has left its buffer, with its message in it.
TEST(Error, ANewThreadHasNoMessage) {
  std::thread([] { (void)Fail(Code::kIo, "the first one's"); }).join();
  std::thread([] {
    EXPECT_STREQ(LastError(), "");
    {
      const KeepLastError keep;
      (void)Fail(Code::kIo, "of cleaning up");
    }
    EXPECT_STREQ(LastError(), "");
  }).join();
}

TEST(Error, WithoutMemoryTheBeginningOfAMessageIsKept) {
  const auto without_memory = [] {
    const rlimit none = {0, 0};
    if (setrlimit(RLIMIT_AS, &none) != 0) _exit(2);
    (void)Fail(Code::kNoMemory, "%s", "there is no memory for the thread of a test");
    {
      const KeepLastError keep;
      (void)Fail(Code::kIo, "of cleaning up");
    }
    _exit(std::strcmp(LastError(), "there is no memory for the thread of a test") == 0 ? 0 : 1);
  };
  // A thread of its own, because this one may have a buffer already.
  EXPECT_EXIT(std::thread(without_memory).join(), testing::ExitedWithCode(0), "");
}

TEST(Error, LongMessageIsCut) {
  (void)Fail(Code::kIo, "%s", std::string(20'000, 'x').c_str());
  EXPECT_EQ(std::string(LastError()).size(), kErrorTextBytes - 1);
}

}  // namespace
}  // namespace morsel
