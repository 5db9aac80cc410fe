// What the log and a list have is put into the places of leaves.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "image/image_copy.h"
#include "image/log_testing.h"
#include "os/testing/scripted_calls_testing.h"
#include "os/testing/seed_testing.h"

namespace morsel::image {
namespace {

using os::Call;

class SettleTest : public LogTest {
 protected:
  Status Settle() { return image_->Settle(memory_.data()); }
  Entry LeafOf(uint64_t subtree) const { return image_->tree().leaf(SubtreePosition(subtree)); }
  // The file has the memory's page in its place.
  void ExpectInPlace(uint64_t page) {
    const uint64_t offset = LeafOf(page / kPagesPerLeaf).offset + page % kPagesPerLeaf * kPageBytes;
    EXPECT_TRUE(Bytes("a").substr(offset, kPageBytes) ==
                memory_.substr(page * kPageBytes, kPageBytes))
        << page;
  }
  // Commits until the log is full, and one more, which finds it settled.
  void FillLog() {
    const uint64_t position = image_->superblock().log_position;
    for (int commit = 0; image_->superblock().log_position == position; ++commit) {
      ASSERT_LT(commit, 300);
      ASSERT_NO_FATAL_FAILURE(Commit({1, 2, 3, 600 + static_cast<uint64_t>(commit)}));
    }
  }
};

TEST_F(SettleTest, PagesGoIntoTheirPlaces) {
  const Entry before = LeafOf(0);
  ASSERT_NO_FATAL_FAILURE(Commit({1, 2, 700}));
  ASSERT_NO_FATAL_FAILURE(Commit({2, 511}));
  calls_.CountAnew();
  ASSERT_TRUE(Settle().ok()) << LastError();
  // Five pages, the sums of two leaves, two tables and the superblocks, each twice.
  EXPECT_EQ(calls_.size_bytes(Call::kWrite), 4 * kPageBytes + 2 * kPageSumsBytes + 6 * kBlockBytes);
  EXPECT_EQ(calls_.count(Call::kDataSync), 3U);
  for (const uint64_t page : {1, 2, 511, 700}) ExpectInPlace(page);
  const Entry after = LeafOf(0);
  EXPECT_EQ(after.offset, before.offset);
  EXPECT_NE(after.second, before.second) << "sums are not changed where they are";
  EXPECT_TRUE(image_->unsettled().empty());
  EXPECT_FALSE(HasLog(image_->superblock()));
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  std::vector<std::string> damaged;
  ASSERT_TRUE(image_->Verify([&](const char* words) { damaged.emplace_back(words); }).ok());
  EXPECT_TRUE(damaged.empty()) << damaged[0];
}

// A commit that finds the log full waits for that, and is one record of the empty one.
TEST_F(SettleTest, AFullLogIsSettledAndGoesOn) {
  const Entry before = LeafOf(1);
  ASSERT_NO_FATAL_FAILURE(FillLog());
  const ImageSuperblock superblock = image_->superblock();
  EXPECT_EQ(RecordsIn(Bytes("a")).size(), 1U);
  for (int round = 0; round < 3; ++round) ASSERT_NO_FATAL_FAILURE(FillLog());
  EXPECT_EQ(image_->superblock().log_offset, superblock.log_offset);
  EXPECT_EQ(LeafOf(1).offset, before.offset);
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  ASSERT_NO_FATAL_FAILURE(Reopen());
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// [STL-2] A program stores while nobody has told it not to: its page is as the record has it.
TEST_F(SettleTest, WhatIsStoredSinceIsNotSettled) {
  ASSERT_NO_FATAL_FAILURE(Commit({1, 600}));
  const Memory then = memory_;
  memory_[kPageBytes + 7] ^= 1;
  memory_[5 * kPageBytes] ^= 1;
  ASSERT_TRUE(Settle().ok()) << LastError();
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", then));
}

// Of leaves of which few pages change many go into one checkpoint.
TEST_F(SettleTest, ACommitOfMuchIsSettledAtOnce) {
  memory_ = MemoryOf(8);
  for (uint64_t subtree = 0; subtree < 8; ++subtree) FillSubtree(memory_, subtree, subtree + 1);
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  std::vector<uint64_t> places;
  for (uint64_t subtree = 0; subtree < 8; ++subtree) places.push_back(LeafOf(subtree).offset);
  uint64_t most = 0;
  for (uint64_t commit = 0; commit < 100; ++commit) {
    std::vector<uint64_t> pages;
    for (uint64_t i = 0; i < 400; ++i) pages.push_back(10 * i + commit % 10);
    ASSERT_NO_FATAL_FAILURE(Commit(pages));
    EXPECT_TRUE(image_->tree().listed.empty());
    const uint64_t bytes = std::filesystem::file_size(path_ + "/a");
    if (commit < 30) most = std::max(most, bytes);
    EXPECT_LE(bytes, most) << commit;
    if (commit % 10 != 9) continue;
    // A page, and records go on.
    ASSERT_NO_FATAL_FAILURE(Commit({commit}));
    ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_)) << commit;
  }
  for (uint64_t subtree = 0; subtree < 8; ++subtree) {
    EXPECT_EQ(LeafOf(subtree).offset, places[subtree]);
  }
}

// A leaf of which more than half changes is stored once, elsewhere.
TEST_F(SettleTest, ALeafThatChangesMuchIsWrittenOnce) {
  const uint64_t before = LeafOf(1).offset;
  std::vector<uint64_t> pages;
  for (uint64_t i = 0; i < 300; ++i) pages.push_back(kPagesPerLeaf + i);
  calls_.CountAnew();
  ASSERT_NO_FATAL_FAILURE(Commit(pages));
  EXPECT_NE(LeafOf(1).offset, before);
  EXPECT_LT(calls_.size_bytes(Call::kWrite), kSubtreeBytes + 3 * kMiB)
      << "with a new log and its reserve";
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// What is compressed has no places: it is stored as it is, once, and then it has.
TEST_F(SettleTest, ACompressedLeafThatChangesBecomesRaw) {
  Memory half = MemoryOf(3);
  for (uint64_t subtree = 0; subtree < 3; ++subtree) FillHalf(half, subtree, subtree + 1);
  for (const Codec codec : EveryCompressingCodec()) {
    std::filesystem::remove(path_ + "/a");
    memory_ = half;
    ASSERT_TRUE(Create("a", memory_, TestCalls(), codec).has_value()) << LastError();
    ASSERT_NO_FATAL_FAILURE(Reopen());
    ASSERT_NO_FATAL_FAILURE(Commit({1, 2, 1030}));
    ASSERT_TRUE(Settle().ok()) << LastError();
    EXPECT_EQ(LeafOf(0).codec, Codec::kNone);
    EXPECT_EQ(LeafOf(0).offset % kSubtreeBytes, 0U);
    EXPECT_EQ(LeafOf(1).codec, codec);
    EXPECT_EQ(LeafOf(2).codec, Codec::kNone);
    ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
    const Entry before = LeafOf(0);
    ASSERT_NO_FATAL_FAILURE(Commit({2}));
    ASSERT_TRUE(Settle().ok()) << LastError();
    EXPECT_EQ(LeafOf(0).offset, before.offset);
    ExpectInPlace(2);
    ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  }
}

// A leaf of few pages does not take all of 2 MiB of the disk because it was compressed.
TEST_F(SettleTest, ACompressedLeafThatChangesKeepsItsZerosAsHoles) {
  constexpr uint64_t kLeaves = 8;
  for (const Codec codec : EveryCompressingCodec()) {
    std::filesystem::remove(path_ + "/a");
    memory_ = MemoryOf(kLeaves);
    std::vector<uint64_t> pages;
    for (uint64_t leaf = 0; leaf < kLeaves; ++leaf) pages.push_back(leaf * kPagesPerLeaf + 7);
    Change(pages);
    ASSERT_TRUE(Create("a", memory_, TestCalls(), codec).has_value()) << LastError();
    ASSERT_NO_FATAL_FAILURE(Reopen());
    ASSERT_NO_FATAL_FAILURE(Commit(pages));
    const auto taken = [&] {
      struct stat status;
      EXPECT_EQ(stat((path_ + "/a").c_str(), &status), 0);
      return static_cast<uint64_t>(status.st_blocks) * 512;
    };
    const uint64_t before = taken();
    ASSERT_TRUE(Settle().ok()) << LastError();
    EXPECT_EQ(LeafOf(kLeaves - 1).codec, Codec::kNone);
    // Two pieces of a page, and sums, for each.
    EXPECT_LT(taken(), before + kLeaves * kSubtreeBytes / 16);
    ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  }
}

// Shrinks, and grows again: what was there before does not come back.
TEST_F(SettleTest, WhatWasCutOffIsZeroWhenItComesAgain) {
  ASSERT_NO_FATAL_FAILURE(Commit({1, 1030, 1040}));
  memory_.resize(2 * kSubtreeBytes);
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  memory_.resize(3 * kSubtreeBytes, '\0');
  memory_[1035 * kPageBytes] = 1;
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  ASSERT_NO_FATAL_FAILURE(Commit({1031}));
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  ASSERT_TRUE(Settle().ok()) << LastError();
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// Each call of a settle fails, once or from then on: what was committed stands, and what comes
// then, too.
TEST_F(SettleTest, ASettleThatFailsLosesNothing) {
  for (const int error : {ENOSPC, EIO}) {
    for (const bool lasting : {false, true}) {
      for (int64_t call = 0;; ++call) {
        ASSERT_NO_FATAL_FAILURE(Commit({1, 3, 600}));
        calls_.CountAnew();
        calls_.Play(lasting ? os::FailFrom(call, error) : os::FailOnce(call, error));
        const bool settled = Settle().ok();
        const bool was_last = calls_.count() <= call;
        calls_.Heal();
        SCOPED_TRACE(testing::Message()
                     << "call " << call << ", error " << error << (lasting ? " and on" : ""));
        ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
        if (!settled) {
          const Memory last = memory_;
          const os::PageSet dirty = Change({2});
          const Status stored = Store(dirty);
          if (stored.ok()) {
            ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
          } else {
            EXPECT_TRUE(Says("earlier sync failed")) << LastError();
            memory_ = last;
          }
        }
        ASSERT_NO_FATAL_FAILURE(Reopen());
        ASSERT_NO_FATAL_FAILURE(Commit({9}));
        ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
        if (was_last) break;
      }
    }
  }
}

// The medium fails to write one page of a leaf: the leaf goes elsewhere, and its place is left.
TEST_F(SettleTest, APlaceThatFailsIsLeft) {
  const uint64_t bad = LeafOf(0).offset + 2 * kPageBytes;
  uint64_t tried = 0;
  calls_.Play([&](const Call& call) {
    const bool fails =
        call.kind == Call::kWrite && call.offset <= bad && bad < call.offset + call.size_bytes;
    tried += fails ? 1 : 0;
    return fails ? EIO : 0;
  });
  for (uint64_t round = 0; round < 3; ++round) {
    ASSERT_NO_FATAL_FAILURE(Commit({1, 2, 600 + round}));
    ASSERT_TRUE(Settle().ok()) << LastError();
    EXPECT_TRUE(image_->unsettled().empty() || round == 0);
    EXPECT_NE(LeafOf(0).offset, AlignDown(bad, kSubtreeBytes));
    ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_)) << round;
    FillSubtree(memory_, 1, 70 + round);  // takes a free place
    ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  }
  EXPECT_EQ(tried, 1U);
  calls_.Heal();
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// The log rots while the morsel is open: the memory has what it had.
TEST_F(SettleTest, APageOfTheLogThatRotsIsTakenFromMemory) {
  for (const bool is_closed : {true, false}) {
    ASSERT_NO_FATAL_FAILURE(Commit({1, 2}));
    const uint64_t offset = image_->unsettled().begin()->second.offset;
    std::string bytes = Bytes("a");
    const char rotten = static_cast<char>(bytes[offset + 5] ^ 1);
    const int file = open((path_ + "/a").c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_EQ(pwrite(file, &rotten, 1, static_cast<off_t>(offset + 5)), 1);
    close(file);
    if (is_closed) {
      ASSERT_TRUE(Settle().ok()) << LastError();
    } else {
      ASSERT_NO_FATAL_FAILURE(FillLog());
    }
    ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_)) << is_closed;
  }
}

// [IMG-7] The sums are damaged, and the pages are not.
TEST_F(SettleTest, DamagedSumsAreThoseOfThePages) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  const uint64_t offset = LeafOf(0).second + 999;
  std::string bytes = Bytes("a");
  bytes[offset] ^= 1;
  image_.reset();
  SetBytes("a", bytes);
  ASSERT_NO_FATAL_FAILURE(Reopen());
  ASSERT_TRUE(Settle().ok()) << LastError();
  std::vector<std::string> damaged;
  ASSERT_TRUE(image_->Verify([&](const char* words) { damaged.emplace_back(words); }).ok());
  EXPECT_TRUE(damaged.empty()) << damaged[0];
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// Both are damaged: what nobody can tell is lost, and no other leaf, and nothing counts as sound.
TEST_F(SettleTest, DamagedSumsOfADamagedLeafLoseThatLeaf) {
  ASSERT_NO_FATAL_FAILURE(Commit({1, 600}));
  const Entry leaf = LeafOf(0);
  std::string bytes = Bytes("a");
  bytes[leaf.second + 999] ^= 1;
  bytes[leaf.offset + 5 * kPageBytes] ^= 1;
  image_.reset();
  SetBytes("a", bytes);
  ASSERT_NO_FATAL_FAILURE(Reopen());
  ASSERT_TRUE(Settle().ok()) << LastError();
  std::vector<std::string> damaged;
  ASSERT_TRUE(image_->Verify([&](const char* words) { damaged.emplace_back(words); }).ok());
  ASSERT_EQ(damaged.size(), 1U);
  EXPECT_NE(damaged[0].find("subtree 0 ("), std::string::npos) << damaged[0];
  // Stored whole, it is sound again.
  FillSubtree(memory_, 0, 50);
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// A reader has not seen the last records, and their pages are in the places of those he has.
TEST_F(SettleTest, AReaderBesideASettleIsOvertakenAndTellsNoDamage) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  const Result<ImageFile> reader = Open("a", true);
  ASSERT_TRUE(reader.has_value()) << LastError();
  ASSERT_NO_FATAL_FAILURE(Commit({2, 3}));
  // The settle is cut off before its superblock.
  calls_.Play(os::FailEach(Call::kDataSync, EIO));
  EXPECT_EQ(Settle().code(), Code::kIo);
  calls_.Heal();
  ExpectInPlace(3);
  Memory found(memory_.size(), '\0');
  EXPECT_EQ(LoadBesideWriter(*reader, found.data()).code(), kOvertaken);
  EXPECT_EQ(CheckSound(*reader).code(), kOvertaken);
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

// One that has seen them reads on, whatever is in the places.
TEST_F(SettleTest, AReaderWhoHasSeenAllReadsOnWhileItIsSettled) {
  ASSERT_NO_FATAL_FAILURE(Commit({1, 2, 700}));
  const Result<ImageFile> reader = Open("a", true);
  ASSERT_TRUE(reader.has_value()) << LastError();
  int writes = 0;
  calls_.AfterEach([&](const Call& call) {
    if (call.kind != Call::kWrite || ++writes > 6) return;
    Memory found(memory_.size(), '\0');
    ASSERT_TRUE(LoadBesideWriter(*reader, found.data()).ok()) << LastError();
    EXPECT_TRUE(found == memory_);
  });
  ASSERT_TRUE(Settle().ok()) << LastError();
  calls_.AfterEach(nullptr);
  EXPECT_GT(writes, 6);
}

// A bit anywhere, but in the heads of records that are not settled.
TEST_F(SettleTest, ABitLosesAtMostOneLeaf) {
  setenv("MORSEL_LOG", "never", 1);
  ASSERT_NO_FATAL_FAILURE(Reopen());
  ASSERT_NO_FATAL_FAILURE(Commit({3, 600}));
  setenv("MORSEL_LOG", "always", 1);
  ASSERT_NO_FATAL_FAILURE(Reopen());
  ASSERT_NO_FATAL_FAILURE(Commit({1, 2, 1030}));
  ASSERT_NO_FATAL_FAILURE(Commit({2}));
  ASSERT_FALSE(image_->tree().listed.empty());
  const std::string whole = Bytes("a");
  std::vector<uint64_t> heads;
  for (const uint64_t offset : RecordsIn(whole)) heads.push_back(offset);
  ASSERT_EQ(heads.size(), 2U);
  const uint64_t log_end = image_->superblock().log_offset + image_->superblock().log_bytes;
  SetBytes("b", whole);
  std::mt19937_64 random(TestSeed(9));
  uint64_t lost_most = 0;
  uint64_t tried = 0;
  const Damaged go_on = [](Status) { return Status(); };
  for (uint64_t at = 0; at < whole.size(); at += kBlockBytes) {
    const bool is_head = std::find(heads.begin(), heads.end(), at) != heads.end();
    const bool is_leaf = at >= kSubtreeBytes && at < LeafOf(2).offset + kSubtreeBytes;
    const bool is_unused = at >= heads.back() + 8 * kBlockBytes && at < log_end;
    const bool is_sampled = is_leaf || is_unused;
    if (is_head || (is_sampled && random() % (kSlowBuild ? 200 : 40) != 0)) continue;
    const uint64_t flipped = at + random() % kBlockBytes;
    const auto byte = static_cast<char>(whole[flipped] ^ 1 << random() % 8);
    SetByte("b", flipped, byte);
    Result<os::File> file = os::File::Open(calls_, AT_FDCWD, path_ + "/b", O_RDONLY, 0, "b");
    const Result<ImageFile> image = ImageFile::OpenIntact(std::move(*file), go_on);
    ASSERT_TRUE(image.has_value()) << at << ": " << LastError();
    Memory found(memory_.size(), '\0');
    ASSERT_TRUE(image->LoadIntact(found.data(), go_on).ok()) << LastError();
    uint64_t lost = 0;
    for (uint64_t i = 0; i < 3; ++i) {
      lost += found.compare(i * kSubtreeBytes, kSubtreeBytes, memory_, i * kSubtreeBytes,
                            kSubtreeBytes) != 0;
    }
    ASSERT_LE(lost, 1U) << at;
    lost_most = std::max(lost_most, lost);
    ++tried;
    SetByte("b", flipped, whole[flipped]);
  }
  EXPECT_EQ(lost_most, 1U);
  std::printf("%llu bits\n", static_cast<unsigned long long>(tried));
  EXPECT_GT(tried, kSlowBuild ? 100U : 300U);
}

// Until nothing changes any more: bytes and file are those of the first hundred.
TEST_F(SettleTest, AnImageDoesNotWear) {
  std::mt19937_64 random(TestSeed(5));
  uint64_t first = 0;
  uint64_t most = 0;
  constexpr int kRounds = kSlowBuild ? 4 : 12;
  for (int round = 0; round < kRounds; ++round) {
    calls_.CountAnew();
    for (int commit = 0; commit < 100; ++commit) {
      const os::PageSet dirty = ChangePages(memory_, random, 1 + random() % 8);
      ASSERT_TRUE(Store(dirty).ok()) << LastError();
    }
    const uint64_t bytes = calls_.size_bytes(Call::kWrite) + calls_.size_bytes(Call::kWriteSynced);
    const uint64_t file_bytes = std::filesystem::file_size(path_ + "/a");
    if (round < 2) first = std::max(first, bytes);
    if (round < 2) most = std::max(most, file_bytes);
    EXPECT_LE(bytes, first * 5 / 4) << round;
    EXPECT_LE(file_bytes, most) << round;
  }
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

}  // namespace
}  // namespace morsel::image
