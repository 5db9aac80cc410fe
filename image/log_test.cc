// Checkpoints of few pages go into a log, each with one write.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>

#include "image/image_copy.h"
#include "image/log_testing.h"
#include "os/testing/seed_testing.h"

namespace morsel::image {
namespace {

using os::Call;

uint64_t WritingCalls(const os::ScriptedCalls& calls) {
  return calls.count(Call::kWrite) + calls.count(Call::kWriteSynced) +
         calls.count(Call::kTruncate) + calls.count(Call::kAllocate) +
         calls.count(Call::kDataSync) + calls.count(Call::kSync);
}

TEST_F(LogTest, ACheckpointOfFewPagesIsOneSyncedWrite) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  for (const std::vector<uint64_t>& pages :
       {std::vector<uint64_t>{1}, {2, 700}, {5, 6, 7, 8, 9}, {}}) {
    calls_.CountAnew();
    const os::PageSet dirty = Change(pages);
    ASSERT_TRUE(Store(dirty, 7).ok()) << LastError();
    const uint64_t is_written = pages.empty() ? 0 : 1;
    EXPECT_EQ(calls_.count(Call::kWriteSynced), is_written);
    EXPECT_EQ(WritingCalls(calls_), is_written);
    EXPECT_EQ(calls_.size_bytes(Call::kWriteSynced), is_written * (1 + pages.size()) * kBlockBytes);
    EXPECT_EQ(calls_.count(Call::kRead), 1U) << "a superblock";
    EXPECT_EQ(calls_.count(Call::kOpen), 0U);
    ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  }
}

// Who opens, changes something and closes does not pay for a log.
TEST_F(LogTest, ALogIsMadeOnceItIsWorthIt) {
  unsetenv("MORSEL_LOG");
  ASSERT_NO_FATAL_FAILURE(Reopen());
  for (int checkpoint = 0; checkpoint < 3; ++checkpoint) {
    ASSERT_NO_FATAL_FAILURE(Commit({9}));
    EXPECT_FALSE(HasLog(image_->superblock())) << checkpoint;
  }
  ASSERT_NO_FATAL_FAILURE(Commit({9}));
  EXPECT_TRUE(HasLog(image_->superblock()));
  setenv("MORSEL_LOG", "never", 1);
  ASSERT_NO_FATAL_FAILURE(Reopen());
  for (int checkpoint = 0; checkpoint < 8; ++checkpoint) {
    ASSERT_NO_FATAL_FAILURE(Commit({9}));
    EXPECT_FALSE(HasLog(image_->superblock())) << checkpoint;
  }
}

// It is looked at when an image is opened for writing, or made, as the other variables are.
TEST_F(LogTest, WhatTheVariableSaysIsLookedAtOnce) {
  setenv("MORSEL_LOG", "often", 1);
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  EXPECT_TRUE(HasLog(image_->superblock()));
  EXPECT_EQ(Open("a").error(), Code::kInvalidArgument);
  EXPECT_TRUE(Says("MORSEL_LOG is 'often'")) << LastError();
  EXPECT_EQ(Create("c", memory_).error(), Code::kInvalidArgument);
  EXPECT_TRUE(Open("a", true).has_value()) << LastError();
}

// Pages change at random; the log is filled several times, what a record cannot hold goes into the
// tree, and the image is opened again with and without a log.
TEST_F(LogTest, HoldsWhatWasStoredWhateverComes) {
  std::mt19937_64 random(TestSeed(3));
  uint64_t generation = image_->info().generation;
  uint64_t settled = 0;
  for (int checkpoint = 0; checkpoint < 300; ++checkpoint) {
    const uint64_t kind = random() % 40;
    const uint64_t count = kind == 0 ? 100 : 1 + random() % 12;
    const os::PageSet dirty = ChangePages(memory_, random, count);
    if (kind == 1) memory_.resize(memory_.size() + kSubtreeBytes, 'g');
    if (kind == 2 && memory_.size() > 3 * kSubtreeBytes) {
      memory_.resize(memory_.size() - kSubtreeBytes);
    }
    const uint64_t position = image_->superblock().log_position;
    ASSERT_TRUE(
        image_->Store(memory_.data(), memory_.size(), checkpoint, kind == 1 ? nullptr : &dirty)
            .ok())
        << LastError();
    if (image_->superblock().log_position != position) ++settled;
    EXPECT_GT(image_->info().generation, generation) << checkpoint;
    generation = image_->info().generation;
    if (checkpoint % 20 == 19) {
      ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_)) << checkpoint;
    }
    if (kind == 3) {
      ASSERT_TRUE(image_->Settle(memory_.data()).ok()) << LastError();
      EXPECT_FALSE(HasLog(image_->superblock()));
      ASSERT_NO_FATAL_FAILURE(Reopen());
      generation = image_->info().generation;
    }
    if (kind == 4) {
      ASSERT_NO_FATAL_FAILURE(Reopen());
      EXPECT_GE(image_->info().generation, generation);
      EXPECT_EQ(image_->info().live_bytes, static_cast<uint64_t>(checkpoint));
    }
  }
  EXPECT_GT(settled, 3U);
}

// The kernel names all of a huge frame. Only what differs is written.
TEST_F(LogTest, OfAHugeFrameOnlyWhatDiffersIsLogged) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  (void)Change({1, 520, 600});
  os::PageSet dirty;
  dirty.Add(0, 2 * kSubtreeBytes);
  calls_.CountAnew();
  ASSERT_TRUE(Store(dirty).ok()) << LastError();
  EXPECT_EQ(calls_.size_bytes(Call::kWriteSynced), 4 * kBlockBytes);
  EXPECT_EQ(WritingCalls(calls_), 1U);
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  calls_.CountAnew();
  ASSERT_TRUE(Store(dirty).ok()) << LastError();
  EXPECT_EQ(WritingCalls(calls_), 0U);
}

// A longer log takes longer records.
TEST_F(LogTest, ATableOfSeveralBlocks) {
  memory_ = MemoryOf(20);
  for (uint64_t subtree = 0; subtree < 20; ++subtree) FillSubtree(memory_, subtree, subtree);
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  EXPECT_EQ(image_->superblock().log_bytes, 3 * kMiB);
  std::vector<uint64_t> pages;
  for (uint64_t i = 0; i < 150; ++i) pages.push_back(i * 60);
  calls_.CountAnew();
  ASSERT_NO_FATAL_FAILURE(Commit(pages));
  EXPECT_EQ(calls_.size_bytes(Call::kWriteSynced), (2 + pages.size()) * kBlockBytes);
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  ASSERT_NO_FATAL_FAILURE(Commit({2}));
  std::string bytes = Bytes("a");
  bytes[RecordsIn(bytes)[1] + kBlockBytes + 8] ^= 1;
  SetBytes("b", bytes);
  EXPECT_EQ(Read("b").error(), Code::kCorrupt);
}

TEST_F(LogTest, AStoreDuringTheCheckpointDamagesNoUnsettledPage) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  calls_.Play([&](const Call& call) {
    if (call.kind != Call::kWriteSynced) return 0;
    for (char& byte : memory_) byte = static_cast<char>(byte + 1);
    return 0;
  });
  os::PageSet dirty;
  dirty.Add(0, 40 * kPageBytes);
  ASSERT_TRUE(Store(dirty).ok()) << LastError();
  const Result<Memory> found = Read("a");
  EXPECT_TRUE(found.has_value()) << LastError();
}

// One slot rots, whichever: the other one leads to the same records.
TEST_F(LogTest, EitherSlotLeadsToTheLog) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_NO_FATAL_FAILURE(Commit({1}));
    ASSERT_NO_FATAL_FAILURE(Commit({2}));
    for (const uint64_t slot : kSlotOffsets) {
      std::string bytes = Bytes("a");
      bytes[slot + 100] ^= 1;
      SetBytes("b", bytes);
      ASSERT_NO_FATAL_FAILURE(ExpectHolds("b", memory_)) << round << ", slot " << slot;
    }
    // The log is settled and goes on, or it was opened again.
    FillSubtree(memory_, 0, 100 + static_cast<uint64_t>(round));
    ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
    if (round != 1) continue;
    ASSERT_NO_FATAL_FAILURE(Reopen());
  }
}

// Libraries that know no log refuse the image while it has one, and no longer.
TEST_F(LogTest, TheImageSaysThatItHasALog) {
  EXPECT_EQ(SuperblockIn(Bytes("a")).read_features, 0U);
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  EXPECT_EQ(SuperblockIn(Bytes("a")).read_features, kFeatureLog);
  ASSERT_TRUE(image_->Settle(memory_.data()).ok()) << LastError();
  const std::string bytes = Bytes("a");
  for (const uint64_t slot : kSlotOffsets) {
    ImageSuperblock superblock;
    std::memcpy(&superblock, bytes.data() + slot, sizeof superblock);
    EXPECT_EQ(superblock.read_features, 0U);
    EXPECT_EQ(superblock.log_offset, 0U);
    EXPECT_GT(superblock.log_position, 0U) << "positions never restart";
  }
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  calls_.CountAnew();
  ASSERT_TRUE(image_->Settle(memory_.data()).ok()) << LastError();
  EXPECT_EQ(WritingCalls(calls_), 0U);
}

TEST_F(LogTest, ASettleThatFailsLeavesTheLog) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  for (int64_t call = 0;; ++call) {
    const std::string before = Bytes("a");
    calls_.Play([&](const Call& one) {
      return one.number >= call && one.kind != Call::kRead ? ENOSPC : 0;
    });
    const Status settled = image_->Settle(memory_.data());
    calls_.Heal();
    ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_)) << call;
    if (settled.ok()) break;
    // A sync that failed: nothing more is promised.
    ASSERT_NO_FATAL_FAILURE(Reopen());
    ASSERT_NO_FATAL_FAILURE(Commit({1}));
    ASSERT_NO_FATAL_FAILURE(Commit({3}));
  }
}

TEST_F(LogTest, NoSpaceLeavesTheEndWhereItWas) {
  for (const int error : {ENOSPC, EDQUOT, ENOMEM}) {
    ASSERT_NO_FATAL_FAILURE(Commit({1}));
    const Memory last = memory_;
    const std::vector<uint64_t> records = RecordsIn(Bytes("a"));
    const os::PageSet dirty = Change({4, 5});
    calls_.Play(os::FailEach(Call::kWriteSynced, error));
    const Code code = Store(dirty).code();
    EXPECT_EQ(code, error == ENOMEM ? Code::kNoMemory : Code::kNoSpace) << LastError();
    EXPECT_TRUE(Says("the last checkpoint stands")) << LastError();
    calls_.Heal();
    ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", last));
    // Nothing is dirty any more. A crash might find what failed, if this one wrote nothing.
    memory_ = last;
    calls_.CountAnew();
    ASSERT_TRUE(Store({}).ok()) << LastError();
    EXPECT_EQ(calls_.count(Call::kWriteSynced), 1U);
    EXPECT_EQ(RecordsIn(Bytes("a")).size(), records.size() + 1);
    calls_.CountAnew();
    ASSERT_TRUE(Store({}).ok()) << LastError();
    EXPECT_EQ(WritingCalls(calls_), 0U);
    ASSERT_NO_FATAL_FAILURE(Commit({4}));
    ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  }
}

TEST_F(LogTest, AnyOtherFailurePoisons) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  const Memory last = memory_;
  const os::PageSet dirty = Change({4});
  calls_.Play(os::FailEach(Call::kWriteSynced, EIO));
  EXPECT_EQ(Store(dirty).code(), Code::kIo);
  EXPECT_TRUE(Says("writing its log")) << LastError();
  calls_.Heal();
  calls_.CountAnew();
  EXPECT_EQ(Store(dirty).code(), Code::kIo);
  EXPECT_EQ(image_->Settle(memory_.data()).code(), Code::kIo);
  EXPECT_EQ(WritingCalls(calls_), 0U);
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", last));
}

// A full disk: no tree can be stored, and the log has room still.
TEST_F(LogTest, ATreeThatCannotBeStoredDoesNotStopTheLog) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  os::PageSet much;
  much.Add(0, 2 * kSubtreeBytes);
  for (uint64_t page = 0; page < 900; ++page) memory_[page * kPageBytes] ^= 1;
  calls_.Play([](const Call& call) { return call.kind == Call::kWrite ? ENOSPC : 0; });
  EXPECT_EQ(Store(much).code(), Code::kNoSpace) << LastError();
  for (uint64_t page = 0; page < 900; ++page) memory_[page * kPageBytes] ^= 1;
  ASSERT_NO_FATAL_FAILURE(Commit({2}));
  calls_.Heal();
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// No log can be made: checkpoints are what they were.
TEST_F(LogTest, WithoutRoomForALogCheckpointsGoIntoTheTree) {
  calls_.Play([](const Call& call) {
    return call.kind == Call::kWrite && call.size_bytes >= kMiB ? ENOSPC : 0;
  });
  for (int checkpoint = 0; checkpoint < 3; ++checkpoint) {
    ASSERT_NO_FATAL_FAILURE(Commit({1}));
    EXPECT_FALSE(HasLog(image_->superblock()));
  }
  calls_.Heal();
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// A file that was copied has holes where the log was. Nothing is written there: the first
// checkpoint settles what was found.
TEST_F(LogTest, ALogThatWasFoundIsNotWrittenInto) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  ASSERT_NO_FATAL_FAILURE(Commit({2}));
  ASSERT_NO_FATAL_FAILURE(Reopen());
  const ImageSuperblock found = image_->superblock();
  ASSERT_TRUE(HasLog(found));
  EXPECT_GT(found.log_whole, found.log_position);
  calls_.Play([&](const Call& call) {
    const bool writes = call.kind == Call::kWrite || call.kind == Call::kWriteSynced;
    EXPECT_FALSE(writes && call.offset < found.log_offset + found.log_bytes &&
                 found.log_offset < call.offset + call.size_bytes);
    return 0;
  });
  ASSERT_NO_FATAL_FAILURE(Commit({3}));
  calls_.Heal();
  EXPECT_FALSE(HasLog(image_->superblock()));
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  ASSERT_NO_FATAL_FAILURE(Commit({4}));
  EXPECT_TRUE(HasLog(image_->superblock()));
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

TEST_F(LogTest, CopiesHaveWhatTheLogHas) {
  ASSERT_NO_FATAL_FAILURE(Commit({1, 2, 600}));
  ASSERT_NO_FATAL_FAILURE(Commit({2, 3}));
  const Result<os::Directory> directory = os::Directory::Open(calls_, path_);
  ASSERT_TRUE(directory.has_value());
  const Result<ImageFile> reader = Open("a", true);
  ASSERT_TRUE(CopyInto(*reader, *directory, "copy", {}).ok()) << LastError();
  ASSERT_TRUE(CopyInto(*image_, *directory, "own", {}).ok()) << LastError();
  ASSERT_TRUE(RecodeInto(*reader, Codec::kLz4, *directory, "coded", {}).ok()) << LastError();
  for (const char* const name : {"copy", "own", "coded"}) {
    ASSERT_NO_FATAL_FAILURE(ExpectHolds(name, memory_)) << name;
    EXPECT_FALSE(HasLog(SuperblockIn(Bytes(name)))) << name;
  }
}

TEST_F(LogTest, TheLastRecordSaysHowManyBytesLive) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  ASSERT_TRUE(Store(Change({1}), 4711).ok());
  ASSERT_TRUE(Store({}, 4712).ok());
  const Result<ImageFile> reader = Open("a", true);
  const Result<ImageInfo> peeked = ImageFile::Peek(reader->file());
  ASSERT_TRUE(peeked.has_value()) << LastError();
  for (const ImageInfo& info : {image_->info(), reader->info(), *peeked}) {
    EXPECT_EQ(info.live_bytes, 4712U);
    EXPECT_EQ(info.generation, image_->info().generation);
  }
}

// A read through the page cache that races a direct write leaves a stale page there.
TEST_F(LogTest, ReadsAndWritesGoPastThePageCache) {
  int direct = 0;
  calls_.AfterEach([&](const Call& call) {
    if (call.kind == Call::kOpen && (call.flags & O_DIRECT) != 0) ++direct;
  });
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  EXPECT_EQ(direct, 1);
  const Result<ImageFile> reader = Open("a", true, calls_);
  ASSERT_TRUE(reader.has_value()) << LastError();
  EXPECT_EQ(direct, 2);
  Memory found(memory_.size(), '\0');
  ASSERT_TRUE(reader->Load(found.data()).ok()) << LastError();
  EXPECT_EQ(direct, 3);
  calls_.AfterEach(nullptr);
}

TEST_F(LogTest, WithoutDirectAccessThePageCacheServes) {
  const auto refuse = [](const Call& call) {
    return call.kind == Call::kOpen && (call.flags & O_DIRECT) != 0 ? EINVAL : 0;
  };
  calls_.Play(refuse);
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  EXPECT_TRUE(HasLog(image_->superblock()));
  ASSERT_NO_FATAL_FAILURE(Commit({2}));
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  ASSERT_NO_FATAL_FAILURE(Reopen());
  // No /proc, or no right to open the file again: what is there can be read and settled.
  calls_.Play(
      [](const Call& call) { return call.kind == Call::kOpen && call.file < 0 ? EACCES : 0; });
  ASSERT_NO_FATAL_FAILURE(Commit({3}));
  EXPECT_FALSE(HasLog(image_->superblock()));
  ASSERT_NO_FATAL_FAILURE(Commit({4}));
  EXPECT_FALSE(HasLog(image_->superblock()));
  calls_.Heal();
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// Somebody has copied a file over the image: no record is written into that.
TEST_F(LogTest, AFileThatIsAnotherOneIsNotWritten) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  std::string other = Bytes("a");
  other[100] ^= 1;
  const int file = open((path_ + "/a").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(pwrite(file, other.data(), other.size(), 0), static_cast<ssize_t>(other.size()));
  close(file);
  calls_.CountAnew();
  EXPECT_EQ(Store(Change({2})).code(), Code::kCorrupt);
  EXPECT_TRUE(Says("written over or cut by somebody else")) << LastError();
  EXPECT_EQ(WritingCalls(calls_), 0U);
}

// Who reads while a writer goes on: a settle makes the log's blocks others, and says so.
TEST_F(LogTest, AReaderLearnsThatTheLogWasWrittenOver) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  const Result<ImageFile> reader = Open("a", true);
  const Memory then = memory_;
  ASSERT_NO_FATAL_FAILURE(Commit({2}));
  EXPECT_TRUE(CheckNotOverwritten(*reader).ok()) << LastError();
  Memory found(memory_.size(), '\0');
  ASSERT_TRUE(reader->Load(found.data()).ok()) << LastError();
  EXPECT_TRUE(found == then);
  FillSubtree(memory_, 0, 77);
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  EXPECT_EQ(CheckNotOverwritten(*reader).code(), kOvertaken);
}

}  // namespace
}  // namespace morsel::image
