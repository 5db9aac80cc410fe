// What a writer had in flight when it was killed comes after the next one has opened the image,
// unless that waits for it.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "image/log_testing.h"

namespace morsel::image {
namespace {

using os::Call;

constexpr uint64_t kNeverWritten = 4096;

class DeadWriterTest : public LogTest {
 protected:
  void SetUp() override {
    LogTest::SetUp();
    ASSERT_NO_FATAL_FAILURE(Commit({1}));
  }
  // A checkpoint whose record is in flight when the writer is killed.
  void KillWhileWriting(const std::vector<uint64_t>& pages) {
    const std::string before = Bytes("a");
    calls_.AfterEach([&](const Call& call) {
      if (call.kind != Call::kWriteSynced) return;
      late_offset_ = call.offset;
      late_.assign(static_cast<const char*>(call.bytes), call.size_bytes);
    });
    ASSERT_NO_FATAL_FAILURE(Commit(pages));
    calls_.AfterEach(nullptr);
    image_.reset();
    SetBytes("a", before);
    ASSERT_FALSE(late_.empty());
  }
  void Land() {
    std::string bytes = Bytes("a");
    std::memcpy(bytes.data() + late_offset_, late_.data(), late_.size());
    SetBytes("a", bytes);
    late_.clear();
  }
  // As a kernel that waits for direct writes before it makes a hole.
  int Wait(const Call& call) {
    if (call.kind == Call::kAllocate && !late_.empty()) {
      EXPECT_EQ(call.flags, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
      EXPECT_EQ(call.offset, kNeverWritten);
      EXPECT_EQ(call.size_bytes, kBlockBytes);
      Land();
    }
    const bool reads_other = call.kind == Call::kRead && call.offset != kNeverWritten;
    if (reads_other && !late_.empty()) has_read_before_ = true;
    return 0;
  }

  uint64_t late_offset_ = 0;
  std::string late_;
  bool has_read_before_ = false;
};

TEST_F(DeadWriterTest, WhatAWriterLeftInFlightIsSeenOrGone) {
  ASSERT_NO_FATAL_FAILURE(KillWhileWriting({2, 700}));
  calls_.Play([&](const Call& call) { return Wait(call); });
  ASSERT_NO_FATAL_FAILURE(Reopen());
  EXPECT_FALSE(has_read_before_);
  Memory found(image_->info().size_bytes, '\0');
  ASSERT_TRUE(image_->Load(found.data()).ok()) << LastError();
  const uint64_t generation = image_->info().generation;
  if (!late_.empty()) Land();
  const Result<ImageFile> later = Open("a", true);
  ASSERT_TRUE(later.has_value()) << LastError();
  EXPECT_EQ(later->info().generation, generation);
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", found));
  EXPECT_TRUE(found == memory_) << "it has landed before it was looked for";
}

// It would land in what is something else by now.
TEST_F(DeadWriterTest, NothingLandsOverWhatTheNextWriterWrites) {
  ASSERT_NO_FATAL_FAILURE(KillWhileWriting({2, 700}));
  setenv("MORSEL_LOG", "never", 1);
  calls_.Play([&](const Call& call) { return Wait(call); });
  ASSERT_NO_FATAL_FAILURE(Reopen());
  for (uint64_t seed = 10; seed < 14; ++seed) {
    memory_.resize(seed * kSubtreeBytes);
    for (uint64_t subtree = 0; subtree < seed; ++subtree) FillSubtree(memory_, subtree, seed);
    ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), seed).ok()) << LastError();
  }
  if (!late_.empty()) Land();
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// Who only reads does not change the file, and waits for nobody.
TEST_F(DeadWriterTest, ReadersWaitForNobody) {
  image_.reset();
  calls_.CountAnew();
  ASSERT_TRUE(Open("a", true, calls_).has_value()) << LastError();
  EXPECT_EQ(calls_.count(Call::kAllocate), 0U);
}

// A file system without holes opens; a disk that fails does not.
TEST_F(DeadWriterTest, WhereNoHolesAreMadeItOpensAllTheSame) {
  image_.reset();
  for (const int error : {EOPNOTSUPP, EINVAL, ENOSYS}) {
    calls_.Play(os::FailEach(Call::kAllocate, error));
    EXPECT_TRUE(Open("a", false, calls_).has_value()) << LastError();
  }
  calls_.Play(os::FailEach(Call::kAllocate, EIO));
  EXPECT_EQ(Open("a", false, calls_).error(), Code::kIo);
  EXPECT_TRUE(Says("waiting for what an earlier process was writing")) << LastError();
  calls_.Play([tries = 0](const Call& call) mutable {
    return call.kind == Call::kAllocate && tries++ < 2 ? EINTR : 0;
  });
  EXPECT_TRUE(Open("a", false, calls_).has_value()) << LastError();
  EXPECT_EQ(calls_.count(Call::kAllocate), 3U);
}

// What has slot B there is of version 4.
TEST_F(DeadWriterTest, WhatLiesInTheBlockThatIsNeverWrittenStays) {
  image_.reset();
  SetByte("a", kNeverWritten + 100, 'x');
  const std::string before = Bytes("a");
  ASSERT_NO_FATAL_FAILURE(Reopen());
  EXPECT_EQ(Bytes("a").substr(kNeverWritten, kBlockBytes),
            before.substr(kNeverWritten, kBlockBytes));
}

}  // namespace
}  // namespace morsel::image
