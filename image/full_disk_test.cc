// Others fill the disk while an image is open: what is written already can be written over, and
// nothing else. Checkpoints of few pages go on, and so do settles.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <random>

#include "image/log_testing.h"
#include "image/written_room.h"
#include "os/testing/seed_testing.h"

namespace morsel::image {
namespace {

using os::Call;

constexpr int kCommits = kSlowBuild ? 300 : 1000;

// Whether a write would need room that the file does not take yet.
bool NeedsRoom(const Call& call) {
  if (call.kind != Call::kWrite && call.kind != Call::kWriteSynced) return false;
  const off_t hole = lseek(call.file, static_cast<off_t>(call.offset), SEEK_HOLE);
  return hole < 0 || static_cast<uint64_t>(hole) < call.offset + call.size_bytes;
}

// What is given back is gone, too: others take it at once.
int OnAFullDisk(const Call& call) { return NeedsRoom(call) ? ENOSPC : 0; }

class FullDiskTest : public LogTest {
 protected:
  void SetUp() override {
    LogTest::SetUp();
    random_.seed(TestSeed(5));
    ASSERT_NO_FATAL_FAILURE(Commit({1}));
  }
  // One page anywhere.
  Status CommitOne() {
    const uint64_t pages = memory_.size() / kPageBytes;
    return Store(Change({random_() % pages}));
  }
  void CommitMany(int count) {
    for (int commit = 0; commit < count; ++commit) {
      const uint64_t position = image_->superblock().log_position;
      ASSERT_TRUE(CommitOne().ok()) << commit << ": " << LastError();
      settled_ += image_->superblock().log_position != position ? 1 : 0;
      if (commit % 100 != 99) continue;
      ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_)) << commit;
    }
  }

  // Until a commit or two fit into the log.
  void FillTheLog() {
    for (int commit = 0; commit < 400; ++commit) {
      ASSERT_NO_FATAL_FAILURE(CommitMany(1));
      const ImageSuperblock& now = image_->superblock();
      const uint64_t end = now.log_position + now.log_bytes / kBlockBytes;
      if (HasLog(now) && end - image_->log_end() < 4) return;
    }
    FAIL() << "there is no log";
  }

  std::mt19937_64 random_;
  int settled_ = 0;
};

TEST_F(FullDiskTest, CommitsAndSettlesGoOn) {
  const uint64_t allocated = AllocatedBytes("a");
  calls_.Play(OnAFullDisk);
  ASSERT_NO_FATAL_FAILURE(CommitMany(kCommits));
  EXPECT_GT(settled_, kCommits / 200);
  EXPECT_LE(AllocatedBytes("a"), allocated);
  ASSERT_TRUE(image_->Settle(memory_.data()).ok()) << LastError();
  EXPECT_FALSE(HasLog(image_->superblock()));
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// The next process finds what takes room, also after a kill.
TEST_F(FullDiskTest, TheNextProcessGoesOn) {
  calls_.Play(OnAFullDisk);
  for (int process = 0; process < 6; ++process) {
    ASSERT_NO_FATAL_FAILURE(CommitMany(kCommits / 10)) << process;
    if (process % 2 == 0) {
      ASSERT_TRUE(image_->Settle(memory_.data()).ok()) << LastError();
    }
    ASSERT_NO_FATAL_FAILURE(Reopen());
  }
  ASSERT_NO_FATAL_FAILURE(CommitMany(kCommits / 10));
}

// The reserve follows what a settle needs, as the morsel grows.
TEST_F(FullDiskTest, ALargerMorselHasALargerReserve) {
  memory_ = MemoryOf(40);
  for (uint64_t subtree = 0; subtree < 40; ++subtree) FillSubtree(memory_, subtree, subtree);
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  const uint64_t used = 40 * (kSubtreeBytes + kPageSumsBytes);
  EXPECT_LE(AllocatedBytes("a"), used * 12 / 10 + image_->superblock().log_bytes);
  calls_.Play(OnAFullDisk);
  ASSERT_NO_FATAL_FAILURE(CommitMany(kCommits));
  EXPECT_GT(settled_, 0);
}

// A checkpoint of much needs room, and takes none of what those of few pages need.
TEST_F(FullDiskTest, ACheckpointOfMuchDoesNotTakeTheReserve) {
  calls_.Play(OnAFullDisk);
  for (int turn = 0; turn < 5; ++turn) {
    Memory larger = memory_;
    larger.resize(memory_.size() + 2 * kSubtreeBytes);
    FillSubtree(larger, 3, 100 + turn);
    FillSubtree(larger, 4, 200 + turn);
    EXPECT_EQ(image_->Store(larger.data(), larger.size(), 0).code(), Code::kNoSpace);
    ASSERT_NO_FATAL_FAILURE(CommitMany(200));
  }
  EXPECT_GT(settled_, 0);
}

// Pages that the file has no room for yet, since they were zero: how many there may be is told by
// an answer, of which all that went before and all that comes when there is room are right.
TEST_F(FullDiskTest, PagesThatWereNeverWrittenNeedRoom) {
  memory_.resize(5 * kSubtreeBytes);
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  memory_[3 * kSubtreeBytes] = memory_[4 * kSubtreeBytes] = 'x';
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  calls_.Play(OnAFullDisk);
  int refused = 0;
  for (uint64_t page = 3 * kPagesPerLeaf; page < 5 * kPagesPerLeaf; ++page) {
    const Memory last = memory_;
    if (Store(Change({page})).ok()) continue;
    ASSERT_TRUE(Says("No space")) << LastError();
    memory_ = last;
    ++refused;
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 800);
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  calls_.Heal();
  ASSERT_NO_FATAL_FAILURE(CommitMany(kCommits / 5));
}

// Wherever the disk becomes full, and whether there is room again after one call or not: what was
// told to be done is there, and all goes on when there is room.
TEST_F(FullDiskTest, NoSpaceAtEachCallLosesNothing) {
  bool has_failed = true;
  int64_t number = 0;
  for (; has_failed; ++number) {
    has_failed = false;
    for (const bool once : {true, false}) {
      ASSERT_NO_FATAL_FAILURE(FillTheLog());
      calls_.Play([&](const Call& call) {
        const bool writes = call.kind == Call::kWrite || call.kind == Call::kWriteSynced;
        const bool fails = writes && (once ? call.number == number : call.number >= number);
        has_failed = has_failed || fails;
        return fails ? ENOSPC : 0;
      });
      for (int commit = 0; commit < 3; ++commit) {
        const Memory last = memory_;
        if (CommitOne().ok()) continue;
        ASSERT_TRUE(Says("no space") || Says("No space")) << LastError();
        memory_ = last;
      }
      ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_)) << number;
      calls_.Heal();
      ASSERT_NO_FATAL_FAILURE(CommitMany(3));
      ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_)) << number;
    }
  }
  EXPECT_GT(number, 6);
}

}  // namespace
}  // namespace morsel::image
