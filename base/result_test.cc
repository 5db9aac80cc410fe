#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
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
  Result<int> failure = Code::kIo;
  EXPECT_DEATH(failure.value(), "");
}

TEST(Error, TryReturnsTheFailureWithItsMessage) {
  EXPECT_EQ(Outer().code(), Code::kBusy);
  EXPECT_STREQ(LastError(), "pool 'p' is open in process 7");
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

TEST(Error, LongMessageIsCut) {
  (void)Fail(Code::kIo, "%s", std::string(20'000, 'x').c_str());
  EXPECT_EQ(std::string(LastError()).size(), kErrorTextBytes - 1);
}

}  // namespace
}  // namespace morsel
