// What is left of an image whose log was lost, torn, rotten or forged in part.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "image/log/log_reader.h"
#include "image/log_testing.h"

namespace morsel::image {
namespace {

class LogDamageTest : public LogTest {
 protected:
  void SetUp() override {
    LogTest::SetUp();
    // The third replaces a page of the second.
    for (const std::vector<uint64_t>& pages :
         {std::vector<uint64_t>{1}, {2, 600}, {2, 3}, {7, 8, 9}, {5}, {1, 1030}}) {
      ASSERT_NO_FATAL_FAILURE(Commit(pages));
    }
    bytes_ = Bytes("a");
    superblock_ = SuperblockIn(bytes_);
    records_ = RecordsIn(bytes_);
    ASSERT_EQ(records_.size(), 6U);
  }

  RecordHead HeadAt(uint64_t offset) const {
    RecordHead head;
    std::memcpy(&head, bytes_.data() + offset, sizeof head);
    return head;
  }
  RecordPage PageOf(uint64_t offset, uint64_t index) const {
    RecordPage page;
    std::memcpy(&page, bytes_.data() + offset + sizeof(RecordHead) + index * sizeof page,
                sizeof page);
    return page;
  }
  // Puts `change`d bytes of the record's head and table in place, with a right sum.
  std::string Forged(size_t record, const std::function<void(RecordHead&, RecordPage*)>& change) {
    std::string bytes = bytes_;
    char* const at = bytes.data() + records_[record];
    change(*reinterpret_cast<RecordHead*>(at),
           reinterpret_cast<RecordPage*>(at + sizeof(RecordHead)));
    Seal(bytes, records_[record]);
    return bytes;
  }
  void ExpectState(const std::string& bytes, size_t records, const std::string& what) {
    SetBytes("b", bytes);
    const Result<Memory> found = Read("b");
    ASSERT_TRUE(found.has_value()) << what << ": " << LastError();
    ASSERT_TRUE(*found == states_[records - 1]) << what;
  }
  void ExpectCorrupt(const std::string& bytes, const char* words, const std::string& what) {
    SetBytes("b", bytes);
    const Result<Memory> found = Read("b");
    ASSERT_EQ(found.error(), Code::kCorrupt) << what << ": " << LastError();
    ASSERT_TRUE(Says(words)) << what << ": " << LastError();
  }

  std::string bytes_;
  ImageSuperblock superblock_;
  std::vector<uint64_t> records_;
};

// A bit, half a block, or a whole one is not what was written, whichever block of the log it is.
TEST_F(LogDamageTest, EveryBlockLostTornAndRotten) {
  const std::function<void(char*)> kinds[] = {
      [](char* block) { block[4000] ^= 16; },
      [](char* block) { std::memset(block, 0, kBlockBytes); },
      [](char* block) { std::memset(block + 512, 0, kBlockBytes - 512); },
      [](char* block) { block[20] ^= 1; }};
  for (size_t i = 0; i < records_.size(); ++i) {
    const RecordHead head = HeadAt(records_[i]);
    for (uint64_t block = 0; block < head.block_count; ++block) {
      const uint64_t offset = records_[i] + block * kBlockBytes;
      const uint64_t head_blocks = HeadBlocks(head.page_count);
      for (size_t kind = 0; kind < std::size(kinds); ++kind) {
        std::string bytes = bytes_;
        kinds[kind](bytes.data() + offset);
        if (bytes == bytes_) continue;  // a short table is padded with zeros
        const std::string what = "record " + std::to_string(i) + ", block " +
                                 std::to_string(block) + ", kind " + std::to_string(kind);
        if (i + 1 == records_.size()) {
          ASSERT_NO_FATAL_FAILURE(ExpectState(bytes, i, what));
        } else if (block < head_blocks) {
          ASSERT_NO_FATAL_FAILURE(ExpectCorrupt(bytes, "the log's record at offset", what));
        } else if (const uint64_t page = PageOf(records_[i], block - head_blocks).page;
                   (i == 0 && page == 1) || (i == 1 && page == 2)) {
          ASSERT_NO_FATAL_FAILURE(ExpectState(bytes, records_.size(), what + ", replaced"));
        } else {
          ASSERT_NO_FATAL_FAILURE(ExpectCorrupt(
              bytes, ("subtree " + std::to_string(page / kPagesPerLeaf)).c_str(), what));
        }
      }
    }
  }
  // Behind the last record anything may stand.
  const uint64_t end = records_.back() + HeadAt(records_.back()).block_count * kBlockBytes;
  std::string bytes = bytes_;
  std::memset(bytes.data() + end, 'x', 3 * kBlockBytes);
  ASSERT_NO_FATAL_FAILURE(ExpectState(bytes, records_.size(), "behind the end"));
}

// A whole record is missing, or the last ones are.
TEST_F(LogDamageTest, RecordsThatAreGone) {
  for (size_t first = 0; first < records_.size(); ++first) {
    std::string bytes = bytes_;
    const uint64_t end = first + 1 < records_.size()
                             ? records_[first + 1]
                             : superblock_.log_offset + superblock_.log_bytes;
    std::memset(bytes.data() + records_[first], 0, end - records_[first]);
    if (first + 1 == records_.size()) {
      ASSERT_NO_FATAL_FAILURE(ExpectState(bytes, first, "the last one is gone"));
    } else {
      ASSERT_NO_FATAL_FAILURE(ExpectCorrupt(bytes, "is damaged", "one is gone"));
    }
    const uint64_t log_end = superblock_.log_offset + superblock_.log_bytes;
    std::memset(bytes.data() + records_[first], 0, log_end - records_[first]);
    if (first == 0) continue;
    ASSERT_NO_FATAL_FAILURE(ExpectState(bytes, first, "all from there are gone"));
  }
}

// Both slots lead to the records. Who opens the image for writing is told, and mends it.
TEST_F(LogDamageTest, EitherSuperblockDamagedLosesNoRecord) {
  for (const uint64_t slot : kSlotOffsets) {
    std::string bytes = bytes_;
    bytes[slot + 700] ^= 1;
    ASSERT_NO_FATAL_FAILURE(ExpectState(bytes, records_.size(), std::to_string(slot)));
    EXPECT_EQ(Open("b", true)->FindDoubts().size(), 1U);
    const Result<ImageFile> image = Open("b");
    ASSERT_TRUE(image.has_value()) << LastError();
    EXPECT_TRUE(image->info().may_be_older);
    EXPECT_TRUE(image->FindDoubts().empty());
    EXPECT_FALSE(Open("b", true)->info().may_be_older);
  }
}

// A disk has lost what it said it had: both superblocks are those of before.
TEST_F(LogDamageTest, ALogThatIsLaterThanItsSuperblocksTells) {
  FillSubtree(memory_, 1, 50);
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  ASSERT_EQ(image_->superblock().log_offset, superblock_.log_offset);
  std::string bytes = Bytes("a");
  for (const uint64_t slot : kSlotOffsets) {
    bytes.replace(slot, kSuperblockBytes, bytes_, slot, kSuperblockBytes);
  }
  ASSERT_NO_FATAL_FAILURE(ExpectCorrupt(bytes, "later records", "both came back"));
}

// What an open for writing has found whole was told to a program: it is no tail any more.
TEST_F(LogDamageTest, BelowWhatWasFoundWholeNothingIsATail) {
  ASSERT_NO_FATAL_FAILURE(Reopen());
  std::string bytes = Bytes("a");
  bytes[records_.back()] ^= 1;
  ASSERT_NO_FATAL_FAILURE(ExpectCorrupt(bytes, "is damaged", "head"));
  bytes = Bytes("a");
  bytes[records_.back() + kBlockBytes] ^= 1;
  ASSERT_NO_FATAL_FAILURE(ExpectCorrupt(bytes, "fails its checksum", "page"));
}

TEST_F(LogDamageTest, ABlockThatCannotBeReadIsNoTail) {
  SetBytes("b", bytes_);
  const uint64_t end = records_.back() + HeadAt(records_.back()).block_count * kBlockBytes;
  for (uint64_t offset = superblock_.log_offset; offset < end + 2 * kBlockBytes;
       offset += kBlockBytes) {
    os::ScriptedCalls calls(os::FailReadsOf(offset));
    EXPECT_EQ(Open("b", true, calls).error(), Code::kIo) << offset;
  }
}

// A right sum does not make a head the log's, nor what it says possible.
TEST_F(LogDamageTest, ForgedHeads) {
  using Change = std::function<void(RecordHead&, RecordPage*)>;
  const std::pair<const char*, Change> foreign[] = {
      {"id", [](RecordHead& head, RecordPage*) { head.id[3] ^= 1; }},
      {"position", [](RecordHead& head, RecordPage*) { ++head.position; }},
      {"previous", [](RecordHead& head, RecordPage*) { ++head.previous; }},
      {"blocks", [](RecordHead& head, RecordPage*) { ++head.block_count; }},
      {"too long", [](RecordHead& head, RecordPage*) { head.page_count = 200; }},
      {"huge", [](RecordHead& head, RecordPage*) { head.block_count = ~0U; }}};
  for (const auto& [name, change] : foreign) {
    ASSERT_NO_FATAL_FAILURE(ExpectState(Forged(5, change), 5, name));
    ASSERT_NO_FATAL_FAILURE(ExpectCorrupt(Forged(3, change), "is damaged", name));
  }
  const std::pair<const char*, Change> impossible[] = {
      {"generation", [](RecordHead& head, RecordPage*) { head.generation = 1; }},
      {"last generation", [](RecordHead& head, RecordPage*) { head.generation = kGenerationsEnd; }},
      {"live bytes", [](RecordHead& head, RecordPage*) { head.live_bytes = uint64_t{1} << 40; }},
      {"page", [](RecordHead&, RecordPage* pages) { pages[1].page = 3 * kPagesPerLeaf; }},
      {"huge page", [](RecordHead&, RecordPage* pages) { pages[1].page = ~uint64_t{0}; }},
      {"order", [](RecordHead&, RecordPage* pages) { pages[1].page = pages[0].page; }}};
  for (const auto& [name, change] : impossible) {
    ASSERT_NO_FATAL_FAILURE(ExpectCorrupt(Forged(5, change), "is damaged", name));
  }
}

// A program's page may hold anything, also a copy of a record.
TEST_F(LogDamageTest, APageThatLooksLikeAHeadIsNone) {
  std::memcpy(memory_.data() + 7 * kPageBytes, bytes_.data() + records_[4], kBlockBytes);
  os::PageSet dirty;
  dirty.Add(7 * kPageBytes, kPageBytes);
  ASSERT_TRUE(Store(dirty).ok()) << LastError();
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  std::string bytes = Bytes("a");
  bytes[RecordsIn(bytes).back()] ^= 1;
  ASSERT_NO_FATAL_FAILURE(ExpectState(bytes, 6, "the page's record is torn"));
}

// Records of the log before it was settled stand behind those that follow, and are not taken.
TEST_F(LogDamageTest, RecordsOfTheRoundBeforeAreNone) {
  FillSubtree(memory_, 1, 50);
  ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0).ok()) << LastError();
  ASSERT_EQ(image_->superblock().log_offset, superblock_.log_offset);
  ASSERT_GT(image_->superblock().log_position, superblock_.log_position);
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  ASSERT_EQ(RecordsIn(Bytes("a")).size(), 1U);
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
}

TEST_F(LogDamageTest, SuperblocksWithALogThatCannotBe) {
  const std::pair<const char*, std::function<void(ImageSuperblock&)>> changes[] = {
      {"inside a block", [](ImageSuperblock& one) { one.log_offset += 512; }},
      {"on superblocks", [](ImageSuperblock& one) { one.log_offset = kBlockBytes; }},
      {"nowhere", [](ImageSuperblock& one) { one.log_offset = ~uint64_t{0} - kBlockBytes + 1; }},
      {"behind the end", [](ImageSuperblock& one) { one.log_offset += uint64_t{1} << 40; }},
      {"on the tree", [](ImageSuperblock& one) { one.log_offset = one.root.offset; }},
      {"empty", [](ImageSuperblock& one) { one.log_bytes = 0; }},
      {"half a block", [](ImageSuperblock& one) { one.log_bytes -= 512; }},
      {"too long", [](ImageSuperblock& one) { one.log_bytes = kLogBytesMax + kBlockBytes; }},
      {"past all positions", [](ImageSuperblock& one) { one.log_position = ~uint64_t{0}; }},
      {"found too far", [](ImageSuperblock& one) { one.log_whole = one.log_position + 100'000; }}};
  for (const auto& [name, change] : changes) {
    ImageSuperblock superblock = superblock_;
    change(superblock);
    superblock.checksum = 0;
    superblock.checksum = Checksum64(&superblock, sizeof superblock);
    std::string bytes = bytes_;
    std::memcpy(bytes.data() + SlotOffset(superblock.sequence), &superblock, sizeof superblock);
    const bool meets = superblock.log_offset == superblock.root.offset;
    ASSERT_NO_FATAL_FAILURE(ExpectCorrupt(bytes, meets ? "two extents meet" : "log", name));
  }
}

TEST_F(LogDamageTest, SalvageGivesTheStateBeforeAndNamesWhatLaterOnesHave) {
  std::string bytes = bytes_;
  bytes[records_[2]] ^= 1;
  SetBytes("b", bytes);
  std::vector<std::string> said;
  const Damaged damaged = [&](Status status) {
    EXPECT_EQ(status.code(), Code::kCorrupt);
    said.emplace_back(LastError());
    return Status();
  };
  Result<os::File> file = os::File::Open(calls_, AT_FDCWD, path_ + "/b", O_RDONLY, 0, "b");
  const Result<ImageFile> image = ImageFile::OpenIntact(std::move(*file), damaged);
  ASSERT_TRUE(image.has_value()) << LastError();
  Memory found(memory_.size(), '\0');
  ASSERT_TRUE(image->LoadIntact(found.data(), damaged).ok()) << LastError();
  EXPECT_TRUE(found == states_[1]);
  EXPECT_TRUE(image->is_cut());
  ASSERT_EQ(said.size(), 4U);
  EXPECT_NE(said[0].find("is damaged"), std::string::npos) << said[0];
  const std::string state = "is as the checkpoint of generation " +
                            std::to_string(HeadAt(records_[1]).generation) + " left it";
  EXPECT_NE(said[1].find(state), std::string::npos) << said[1];
  EXPECT_NE(said[2].find("subtree 0"), std::string::npos) << said[2];
  EXPECT_NE(said[3].find("subtree 2"), std::string::npos) << said[3];
}

TEST_F(LogDamageTest, VerifyAndSalvageLoseTheSubtreeOfADamagedPage) {
  std::string bytes = bytes_;
  bytes[records_[1] + 2 * kBlockBytes] ^= 1;
  SetBytes("b", bytes);
  const Result<ImageFile> image = Open("b", true);
  ASSERT_TRUE(image.has_value()) << LastError();
  std::vector<std::string> said;
  ASSERT_TRUE(image->Verify([&](const char* message) { said.emplace_back(message); }).ok());
  ASSERT_EQ(said.size(), 1U);
  EXPECT_NE(said[0].find("subtree 1"), std::string::npos) << said[0];
  Memory found(memory_.size(), '\0');
  int lost = 0;
  const Damaged damaged = [&](Status) {
    ++lost;
    return Status();
  };
  ASSERT_TRUE(image->LoadIntact(found.data(), damaged).ok()) << LastError();
  EXPECT_EQ(lost, 1);
  std::memset(memory_.data() + kSubtreeBytes, 0, kSubtreeBytes);
  EXPECT_TRUE(found == memory_);
}

// Beside a writer: a record that was read before it was there is read again where a later one is.
TEST_F(LogDamageTest, ARecordThatWasReadTooEarlyIsReadAgain) {
  std::string early = bytes_;
  std::memset(early.data() + records_[3], 0, kBlockBytes);
  SetBytes("b", early);
  const int file = open((path_ + "/b").c_str(), O_RDWR | O_CLOEXEC);
  os::ScriptedCalls calls;
  calls.AfterEach([&](const os::Call& call) {
    if (call.kind != os::Call::kRead || call.offset < superblock_.log_offset) return;
    EXPECT_EQ(
        pwrite(file, bytes_.data() + records_[3], kBlockBytes, static_cast<off_t>(records_[3])),
        static_cast<ssize_t>(kBlockBytes));
  });
  const Result<ImageFile> image = Open("b", true, calls);
  calls.AfterEach(nullptr);
  close(file);
  ASSERT_TRUE(image.has_value()) << LastError();
  Memory found(memory_.size(), '\0');
  ASSERT_TRUE(image->Load(found.data()).ok()) << LastError();
  EXPECT_TRUE(found == memory_);
}

// A page whose leaf is not there cannot be.
TEST_F(LogDamageTest, APageWithoutALeafCannotBe) {
  const Result<ImageFile> image = Open("a", true);
  ASSERT_TRUE(image.has_value()) << LastError();
  Tree tree = image->tree();
  tree.Drop(SubtreePosition(2));
  const Damaged refuse = [](Status status) { return status; };
  EXPECT_TRUE(ReadLog(image->file(), superblock_, image->tree(), refuse).has_value());
  EXPECT_EQ(ReadLog(image->file(), superblock_, tree, refuse).error(), Code::kCorrupt);
}

}  // namespace
}  // namespace morsel::image
