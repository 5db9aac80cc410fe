// Every errno of every system call: what it means for a directory pool is told by a code of its
// own, and IO only where the medium failed.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "morsel/open/open_pool.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

using os::Call;

struct Expected {
  int error;
  Code code;
};
constexpr Expected kExpected[] = {
    {ENOSPC, Code::kNoSpace},
    {EDQUOT, Code::kNoSpace},
    {EFBIG, Code::kNoSpace},
    {EACCES, Code::kPermission},
    {EROFS, Code::kPermission},
    {ENOMEM, Code::kNoMemory},
    {EAGAIN, Code::kNoMemory},
    {EMFILE, Code::kNoMemory},
    {ENFILE, Code::kNoMemory},
    {ENAMETOOLONG, Code::kInvalidArgument},
    {ELOOP, Code::kInvalidArgument},
    {EBUSY, Code::kBusy},
    {ENOLCK, Code::kUnsupported},
    {EINVAL, Code::kUnsupported},
    {EOPNOTSUPP, Code::kUnsupported},
    {ENOSYS, Code::kUnsupported},
    {EOVERFLOW, Code::kUnsupported},
    {EIO, Code::kIo},
    {ENODEV, Code::kIo},
    {EUCLEAN, Code::kIo},
    {ESTALE, Code::kIo},
};

class ErrnoTest : public testing::Test {
 protected:
  // Makes a pool and a morsel, and does with them what there is to do, up to the first failure.
  Status Work(uint32_t mode = 0) {
    std::filesystem::remove_all(scratch_.At("pool"));
    std::filesystem::remove(scratch_.At("image"));
    morsel_pool_options pool_options{};
    pool_options.flags = MORSEL_CREATE;
    Result<std::unique_ptr<OpenPool>> pool =
        OpenPool::Open(scratch_.At("pool").c_str(), &pool_options, calls_);
    if (!pool) return pool.status();
    morsel_options options{};
    options.flags = MORSEL_CREATE;
    options.mode = mode;
    options.size_bytes = options.capacity_bytes = 2 << 20;
    const Result<OpenMorsel*> made = (*pool)->OpenMorselNamed("m", &options);
    if (!made) return made.status();
    const Status changed = Change(**made);
    const Status closed = (*pool)->Close(*made, /*discard=*/true);
    if (!changed.ok()) return changed;
    MORSEL_TRY(closed);
    MORSEL_TRY((*pool)->Export("m", scratch_.At("image").c_str()));
    MORSEL_TRY((*pool)->Remove("m"));
    MORSEL_TRY((*pool)->Import(scratch_.At("image").c_str(), "n", {}).status());
    const Result<OpenMorsel*> again = (*pool)->OpenMorselNamed("n", nullptr);
    if (!again) return again.status();
    return (*pool)->Close(*again, /*discard=*/true);
  }
  static Status Change(OpenMorsel& morsel) {
    const Result<void*> block = morsel.heap().Allocate(100, 16);
    if (!block) return block.status();
    std::memset(*block, 1, 100);
    return morsel.Checkpoint();
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  os::ScriptedCalls calls_;
};

TEST_F(ErrnoTest, EachHasTheCodeOfItsMeaning) {
  ASSERT_TRUE(Work().ok()) << LastError();
  int failures = 0;
  for (int kind = 0; kind < Call::kKinds; ++kind) {
    for (const Expected& expected : kExpected) {
      for (const int good : {0, 3}) {  // the first calls are those of the pool's own file
        SCOPED_TRACE(std::to_string(kind) + ": " + std::strerror(expected.error) + ", after " +
                     std::to_string(good));
        calls_.Play(os::FailEach(static_cast<Call::Kind>(kind), expected.error, good));
        const Status status = Work();
        calls_.Heal();
        if (status.ok()) continue;  // it can be done in another way, or there was no such call
        ++failures;
        // What a failed sync has lost nobody knows: morsel_checkpoint() says so.
        const bool is_checkpoint = std::strstr(LastError(), "can be promised any more") != nullptr;
        EXPECT_EQ(status.code(), is_checkpoint ? Code::kIo : expected.code) << LastError();
        EXPECT_NE(std::strstr(LastError(), scratch_.path().c_str()), nullptr) << LastError();
        const bool says_failed = std::strstr(LastError(), "the medium failed") != nullptr;
        EXPECT_TRUE(!says_failed || expected.code == Code::kIo) << LastError();
      }
    }
  }
  EXPECT_GT(failures, 200);
}

// Another process removes a morsel between any two calls of a list: it is there or it is not.
TEST_F(ErrnoTest, WhatIsRemovedWhileItIsListedIsNotUnreadable) {
  ASSERT_TRUE(Work().ok()) << LastError();
  const std::string kept = scratch_.At("kept");
  std::filesystem::rename(scratch_.At("pool") + "/n", kept);
  Result<std::unique_ptr<OpenPool>> pool =
      OpenPool::Open(scratch_.At("pool").c_str(), nullptr, calls_);
  ASSERT_TRUE(pool.has_value()) << LastError();
  const auto refuse = [](const char* name, morsel_code, const char* message, void*) {
    ADD_FAILURE() << name << ": " << message;
    return 0;
  };
  const auto pass = [](const morsel_info*, void*) { return 0; };
  int64_t calls_made = 1;
  for (int64_t number = 0; number < calls_made; ++number) {
    std::filesystem::copy_file(kept, scratch_.At("pool") + "/n");
    calls_.Heal();
    calls_.AfterEach([&](const Call& call) {
      if (call.number == number) std::filesystem::remove(scratch_.At("pool") + "/n");
    });
    EXPECT_TRUE((*pool)->ListUnreadable(refuse, nullptr).ok()) << LastError();
    EXPECT_TRUE((*pool)->List(pass, nullptr).ok()) << LastError();
    calls_made = static_cast<int64_t>(calls_.count());
    std::filesystem::remove(scratch_.At("pool") + "/n");
  }
  EXPECT_GT(calls_made, 5);
}

// FUSE, 9p and others.
TEST_F(ErrnoTest, AFileSystemThatSyncsNoDirectoriesWorks) {
  for (const int error : {EINVAL, EOPNOTSUPP, ENOSYS}) {
    calls_.Play([&](const Call& call) {
      struct stat status = {};
      const bool is_sync = call.kind == Call::kSync && fstat(call.file, &status) == 0;
      return is_sync && S_ISDIR(status.st_mode) ? error : 0;
    });
    EXPECT_TRUE(Work().ok()) << LastError();
  }
}

// vfat, and mounts of Windows' shares.
TEST_F(ErrnoTest, AFileSystemOfFixedModesWorksWhereTheyAreRight) {
  for (const int error : {EPERM, EOPNOTSUPP}) {
    calls_.Play(os::FailEach(Call::kChangeMode, error));
    EXPECT_TRUE(Work().ok()) << LastError();
    EXPECT_EQ(Work(0640).code(), Code::kUnsupported);
    EXPECT_NE(std::strstr(LastError(), "0640"), nullptr) << LastError();
    EXPECT_NE(std::strstr(LastError(), "ask for 0600"), nullptr) << LastError();
  }
}

TEST_F(ErrnoTest, AModeThatIsRightIsNotSet) {
  calls_.CountAnew();
  EXPECT_TRUE(Work().ok()) << LastError();
  EXPECT_EQ(calls_.count(Call::kChangeMode), 0u);
}

}  // namespace
}  // namespace morsel
