// Damaged, foreign and hostile files are harmless, or are refused with a message that says what is
// wrong and where.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/bits.h"
#include "image/damage_testing.h"
#include "image/format/superblock.h"

namespace morsel::image {
namespace {

constexpr uint64_t kSectorBytes = 512;

TEST_F(DamageTest, EveryByteOfTheTablesIsGuarded) {
  SetBytes("b", bytes_);
  const uint64_t root = superblock_.root.offset;
  const uint64_t table = table_.offset;
  const int file = open((path_ + "/b").c_str(), O_RDWR | O_CLOEXEC);
  int harmless = 0;
  for (const uint64_t begin : {uint64_t{0}, kSuperblockBytes, root, table}) {
    for (uint64_t at = begin; at < begin + kBlockBytes; ++at) {
      const char flipped = static_cast<char>(bytes_[at] ^ (1 << at % 8));
      ASSERT_EQ(pwrite(file, &flipped, 1, static_cast<off_t>(at)), 1);
      // The leaves are not read: the next test is about their bytes.
      const Result<ImageFile> image = Open("b", true);
      if (image) {
        const uint64_t generation = image->info().generation;
        const bool fell_back = begin == SlotOffset(2) && generation == 1;
        const bool is_older_slot = begin == SlotOffset(1) && generation == 2;
        const bool is_padding = (begin == root && at >= root + superblock_.root.stored_bytes) ||
                                (begin == table && at >= table + table_.stored_bytes);
        EXPECT_TRUE(fell_back || is_older_slot || is_padding) << "offset " << at;
        ++harmless;
      }
      ASSERT_EQ(pwrite(file, &bytes_[at], 1, static_cast<off_t>(at)), 1);
    }
  }
  close(file);
  EXPECT_GE(harmless, 2 * static_cast<int>(kSuperblockBytes));
}

TEST_F(DamageTest, EveryByteOfALeafIsGuarded) {
  std::string bytes = bytes_;
  for (uint64_t at = 0; at < kSubtreeBytes; at += 40961) {
    const uint64_t offset = leaf_.offset + at;
    bytes[offset] = static_cast<char>(bytes[offset] ^ 0x40);
    ExpectRefused(bytes, Code::kCorrupt, "subtree 0 (0x100100000000-0x100100200000)");
    bytes[offset] = bytes_[offset];
  }
}

TEST_F(DamageTest, EveryByteOfAReplacedPageIsGuarded) {
  ASSERT_EQ(list_.count, 1u);
  std::string bytes = bytes_;
  for (uint64_t at = 0; at < kPageBytes; at += 511) {
    const uint64_t offset = patch_.offset + at;
    bytes[offset] = static_cast<char>(bytes[offset] ^ 0x40);
    ExpectRefused(bytes, Code::kCorrupt, "4096 bytes at offset");
    bytes[offset] = bytes_[offset];
  }
}

TEST_F(DamageTest, ImpossibleListsOfReplacedPagesAreRefused) {
  const auto refuse = [&](void (*spoil)(PatchList&), const char* words) {
    PatchList wrong = list_;
    spoil(wrong);
    ExpectRefused(WithList(wrong), Code::kCorrupt, words);
  };
  refuse([](PatchList& list) { list.count = 0; }, "list 0 of 0 replaced pages");
  refuse([](PatchList& list) { list.count = kPatchesMax + 1; }, "list 0 of 1048577");
  refuse([](PatchList& list) { list.offset += 1; }, "is impossible");
  refuse([](PatchList& list) { list.offset = 0; }, "is impossible");
  refuse([](PatchList& list) { list.offset = AlignDown(~uint64_t{0}, kBlockBytes); },
         "is impossible");
  refuse([](PatchList& list) { list.generation = 0; }, "is impossible");
  refuse([](PatchList& list) { list.generation = 3; }, "of generation 3, is impossible");
  refuse([](PatchList& list) { list.sum_low ^= 1; }, "list of replaced pages");
  refuse([](PatchList& list) { list.count = 2; }, "list of replaced pages");
  // Two lists of one generation, and an empty list before another.
  ImageSuperblock wrong = superblock_;
  wrong.lists[1] = list_;
  ExpectRefused(Sealed(bytes_, wrong), Code::kCorrupt, "list 1 of 1 replaced pages");
  wrong.lists[0] = {};
  ExpectRefused(Sealed(bytes_, wrong), Code::kCorrupt, "list 0 of 0 replaced pages");
  Patch patch = patch_;
  patch.offset = AlignDown(~uint64_t{0}, kBlockBytes);
  ExpectRefused(WithPatch(patch), Code::kCorrupt, "lies at offset");
  patch.offset = patch_.offset + 1;
  ExpectRefused(WithPatch(patch), Code::kCorrupt, "lies at offset");
}

// [IMG-8]
TEST_F(DamageTest, PatchesThatDoNotCountAreNotLookedAt) {
  const auto expect_older = [&](const std::string& bytes) {
    SetBytes("b", bytes);
    const Result<Memory> found = Read("b");
    ASSERT_TRUE(found.has_value()) << LastError();
    EXPECT_TRUE(*found == older_);
  };
  Patch patch = patch_;
  patch.page = kPagesPerLeaf;  // of an absent leaf
  patch.offset = 1;
  expect_older(WithPatch(patch));
  patch.page = ~uint64_t{0};
  expect_older(WithPatch(patch));
  Entry leaf = leaf_;
  leaf.generation = 2;  // not lower than the list's
  expect_older(WithLeaf(leaf));
}

TEST_F(DamageTest, VerifyNamesEachDamagedSubtreeAndGoesOn) {
  FillSubtree(memory_, 1, 9);
  Result<ImageFile> image = Open("a");
  ASSERT_TRUE(image->Store(memory_.data(), memory_.size(), 3).ok());
  std::string bytes = Bytes("a");
  // The leaves lie behind the tables, and each of them is hit.
  for (uint64_t at = 16 * kBlockBytes; at < bytes.size(); at += kSubtreeBytes / 2) bytes[at] ^= 1;
  SetBytes("b", bytes);
  std::vector<std::string> messages;
  const Result<ImageFile> damaged = Open("b", true);
  ASSERT_TRUE(damaged.has_value()) << LastError();
  ASSERT_TRUE(damaged->Verify([&](const char* words) { messages.emplace_back(words); }).ok());
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_NE(messages[0].find("subtree 0 ("), std::string::npos) << messages[0];
  EXPECT_NE(messages[1].find("subtree 1 ("), std::string::npos) << messages[1];
}

TEST_F(DamageTest, ATruncatedFileIsRefusedOrWhole) {
  uint64_t needed = kExtentsStart;
  for (const Entry& entry : {superblock_.root, table_}) {
    needed = std::max(needed, TableExtentOf(entry).end());
  }
  for (const FileExtent& extent :
       {LeafExtentOf(leaf_), ListExtentOf(list_), FileExtent{patch_.offset, kPageBytes}}) {
    needed = std::max(needed, extent.end());
  }
  std::filesystem::copy_file(path_ + "/a", path_ + "/b");
  for (uint64_t size_bytes = bytes_.size(); size_bytes >= kSectorBytes;
       size_bytes -= kSectorBytes) {
    ASSERT_EQ(truncate((path_ + "/b").c_str(), static_cast<off_t>(size_bytes)), 0);
    const Result<ImageFile> image = Open("b", true);
    ASSERT_EQ(image.has_value(), size_bytes >= needed) << size_bytes;
    if (!image) {
      ASSERT_EQ(image.error(), Code::kCorrupt);
      ASSERT_TRUE(Says("truncated")) << LastError();
    }
  }
}

TEST_F(DamageTest, ForeignFilesAreSaidToBeForeign) {
  ExpectRefused("", Code::kCorrupt, "foreign");
  ExpectRefused("hello", Code::kCorrupt, "foreign");
  ExpectRefused(std::string(100000, 'x'), Code::kCorrupt, "not a morsel's image");
  std::string bytes = bytes_;
  bytes[100] ^= 1;
  bytes[kSuperblockBytes + 100] ^= 1;
  ExpectRefused(bytes, Code::kCorrupt, "offset 4096 fails its checksum");
  std::memcpy(bytes.data(), bytes_.data() + kSuperblockBytes, kSuperblockBytes);
  ExpectRefused(bytes, Code::kCorrupt, "does not belong there");
}

TEST_F(DamageTest, TornNewestSuperblockLeavesTheOlderGeneration) {
  std::string bytes = bytes_;
  bytes[SlotOffset(2) + 600] ^= 1;
  SetBytes("b", bytes);
  const Result<Memory> found = Read("b");
  ASSERT_TRUE(found.has_value()) << LastError();
  EXPECT_TRUE(*found == older_);
}

// Whichever byte of a superblock changes, the other one serves, and that is told.
TEST_F(DamageTest, EachByteOfEachSuperblockIsTold) {
  SetBytes("b", bytes_);
  const int file = open((path_ + "/b").c_str(), O_RDWR | O_CLOEXEC);
  for (uint64_t offset = 0; offset < kExtentsStart; offset += kSlowBuild ? 37 : 1) {
    const char changed = static_cast<char>(bytes_[offset] ^ 1);
    ASSERT_EQ(pwrite(file, &changed, 1, static_cast<off_t>(offset)), 1);
    const Result<ImageFile> image = Open("b", true);
    ASSERT_TRUE(image.has_value()) << offset << ": " << LastError();
    const bool is_newer = offset >= SlotOffset(2);
    ASSERT_EQ(image->info().generation, is_newer ? 1U : 2U) << offset;
    ASSERT_TRUE(image->info().may_be_older) << offset;
    const std::optional<SlotFinding> found = image->FindDoubt();
    ASSERT_TRUE(found) << offset;
    ASSERT_NE(found->message.find(is_newer ? "superblock at offset 4096 " : "offset 0 "),
              std::string::npos)
        << found->message;
    // What a torn write cannot have changed.
    const uint64_t at = offset % kSuperblockBytes;
    if (at >= offsetof(ImageSuperblock, reserved) || (is_newer && at < kSectorBytes)) {
      ASSERT_TRUE(found->is_damage) << offset << ": " << found->message;
    }
    ASSERT_EQ(pwrite(file, &bytes_[offset], 1, static_cast<off_t>(offset)), 1);
  }
  close(file);
  ASSERT_FALSE(Open("b", true)->FindDoubt());
}

TEST_F(DamageTest, ASuperblockThatCannotBeReadIsToldAndTheOtherServes) {
  SetBytes("b", bytes_);
  for (const uint64_t unread : {SlotOffset(1), SlotOffset(2)}) {
    os::ScriptedCalls calls(os::FailReadsOf(unread + 1000));
    const Result<ImageFile> image = Open("b", true, calls);
    ASSERT_TRUE(image.has_value()) << LastError();
    Memory found(memory_.size(), '\0');
    ASSERT_TRUE(image->Load(found.data()).ok()) << LastError();
    EXPECT_TRUE(found == (unread == 0 ? memory_ : older_));
    const std::optional<SlotFinding> doubt = image->FindDoubt();
    ASSERT_TRUE(doubt);
    EXPECT_TRUE(doubt->is_damage);
    EXPECT_NE(doubt->message.find("cannot be read"), std::string::npos) << doubt->message;
    EXPECT_TRUE(CheckNotOverwritten(image->file(), image->superblock()).ok()) << LastError();
    // It may be read the next time, and be the newer one.
    EXPECT_EQ(Open("b", false, calls).error(), Code::kIo);
  }
  EXPECT_TRUE(Bytes("b") == bytes_);
  os::ScriptedCalls calls([](const os::Call& call) {
    return call.kind == os::Call::kRead && call.offset < kExtentsStart ? EIO : 0;
  });
  EXPECT_EQ(Open("b", true, calls).error(), Code::kIo);
}

TEST_F(DamageTest, OlderVersionsAreSaidToBeOlder) {
  ImageSuperblock older = superblock_;
  older.version = kVersion - 1;
  ExpectRefused(Sealed(bytes_, older), Code::kVersion,
                "is of version 3 with features 0x0; this library knows version 4 only");
}

TEST_F(DamageTest, NewerVersionsAndFeaturesAreSaidToBeNewer) {
  ImageSuperblock newer = superblock_;
  newer.version = kVersion + 1;
  ExpectRefused(Sealed(bytes_, newer), Code::kVersion, "is of version 5");
  newer = superblock_;
  newer.read_features = 4;
  ExpectRefused(Sealed(bytes_, newer), Code::kVersion, "features 0x4");
  newer = superblock_;
  newer.contract = 2;
  ExpectRefused(Sealed(bytes_, newer), Code::kVersion, "newer");
  newer = superblock_;
  newer.codec = kUnknownCodec;
  ExpectRefused(Sealed(bytes_, newer), Code::kVersion, "newer");
  newer = superblock_;
  newer.write_features = 1;
  SetBytes("b", Sealed(bytes_, newer));
  EXPECT_TRUE(Open("b", true).has_value()) << LastError();
  EXPECT_EQ(Open("b").error(), Code::kVersion);
  EXPECT_TRUE(Says("read-only")) << LastError();
}

TEST_F(DamageTest, ImpossibleSuperblocksAreRefused) {
  const auto refuse = [&](void (*spoil)(ImageSuperblock&)) {
    ImageSuperblock wrong = superblock_;
    spoil(wrong);
    ExpectRefused(Sealed(bytes_, wrong), Code::kCorrupt, "impossible");
  };
  refuse([](ImageSuperblock& s) { s.base = 0; });
  refuse([](ImageSuperblock& s) { s.base += 4096; });
  refuse([](ImageSuperblock& s) { s.base = kAddressEnd - kSubtreeBytes; });
  refuse([](ImageSuperblock& s) { s.base = ~uint64_t{0} << 21; });
  refuse([](ImageSuperblock& s) { s.capacity_bytes = 0; });
  refuse([](ImageSuperblock& s) { s.capacity_bytes += 1; });
  refuse([](ImageSuperblock& s) { s.capacity_bytes = ~uint64_t{0} << 21; });
  refuse([](ImageSuperblock& s) { s.size_bytes += 4096; });
  refuse([](ImageSuperblock& s) { s.size_bytes = s.capacity_bytes + kSubtreeBytes; });
  refuse([](ImageSuperblock& s) { s.live_bytes = s.size_bytes + 1; });
  refuse([](ImageSuperblock& s) { s.generation = ~uint64_t{s.generation % 2 == 0}; });
  refuse([](ImageSuperblock& s) { s.generation |= kGenerationsEnd; });
  refuse([](ImageSuperblock& s) { s.root.offset = 0; });
  refuse([](ImageSuperblock& s) { s.root.offset += 1; });
  refuse([](ImageSuperblock& s) { s.root.stored_bytes = 0; });
  refuse([](ImageSuperblock& s) { s.root.stored_bytes = 65; });
  refuse([](ImageSuperblock& s) { s.root.stored_bytes = 2 * sizeof(Entry); });
  refuse([](ImageSuperblock& s) { s.root.stored_bytes = ~uint32_t{63}; });
}

TEST_F(DamageTest, ExtentsOutsideTheFileAreRefused) {
  ImageSuperblock wrong = superblock_;
  wrong.root.offset = AlignDown(~uint64_t{0}, kBlockBytes);
  ExpectRefused(Sealed(bytes_, wrong), Code::kCorrupt, "the root table lies at");
  Entry leaf = leaf_;
  leaf.offset = AlignUp(bytes_.size(), kBlockBytes);
  ExpectRefused(WithLeaf(leaf), Code::kCorrupt,
                "subtree 0 (0x100100000000-0x100100200000) lies at");
}

TEST_F(DamageTest, TablesThatOverlapOrLeadToThemselvesAreRefused) {
  Entry table = table_;
  table.offset = superblock_.root.offset;  // the root table leads to itself
  ExpectRefused(WithRootTable(table), Code::kCorrupt, "two extents meet");
  Entry leaf = leaf_;
  for (const uint64_t offset : {table_.offset, superblock_.root.offset, leaf_.offset}) {
    leaf = leaf_;
    leaf.offset = offset;
    if (offset != leaf_.offset) ExpectRefused(WithLeaf(leaf), Code::kCorrupt, "");
    Patch patch = patch_;
    patch.offset = offset;
    ExpectRefused(WithPatch(patch), Code::kCorrupt, "two extents meet");
  }
}

TEST_F(DamageTest, UnknownEntriesAreRefused) {
  Entry leaf = leaf_;
  leaf.kind = static_cast<Kind>(2);
  ExpectRefused(WithLeaf(leaf), Code::kVersion, "kind 2");
  leaf = leaf_;
  leaf.codec = kUnknownCodec;
  ExpectRefused(WithLeaf(leaf), Code::kVersion, ("codec " + std::to_string(kCodecCount)).c_str());
  leaf = leaf_;
  leaf.stored_bytes = 4096;
  ExpectRefused(WithLeaf(leaf), Code::kCorrupt, "impossible extent of 4096 bytes");
  leaf = leaf_;
  leaf.generation = 3;
  ExpectRefused(WithLeaf(leaf), Code::kCorrupt, "impossible extent");
  leaf = leaf_;
  leaf.kind = Kind::kAbsent;
  ExpectRefused(WithLeaf(leaf), Code::kCorrupt, "");
  Entry table = table_;
  table.codec = Codec::kLz4;
  ExpectRefused(WithRootTable(table), Code::kVersion, "codec 1");
  table = table_;
  table.kind = Kind::kAbsent;
  ExpectRefused(WithRootTable(table), Code::kCorrupt, "");
}

// Otherwise a checkpoint would write over what the newest generation has.
TEST_F(DamageTest, OlderGenerationThatOverlapsTheNewestIsIgnored) {
  ImageSuperblock older;
  Load(older, SlotOffset(1));
  // The older generation claims a part of the newest one's leaf for its own root table.
  older.root.offset = leaf_.offset + kBlockBytes;
  older.root.stored_bytes = sizeof(Entry);
  std::string bytes = bytes_;
  Entry absent_table{};
  absent_table.kind = Kind::kPresent;
  absent_table.offset = older.root.offset + 3 * kBlockBytes;
  absent_table.stored_bytes = sizeof(Entry);
  // It has to look right. So tables are put into the newest leaf's bytes, which are summed again.
  Entry inner = leaf_;
  inner.offset = leaf_.offset + 64 * kBlockBytes;
  inner.stored_bytes = kSubtreeBytes;
  inner.generation = 1;
  bytes.resize(bytes.size() + kSubtreeBytes, 'y');
  const Sum128 inner_sum = Checksum128(&inner, sizeof inner);
  absent_table.sum_low = inner_sum.low;
  absent_table.sum_high = inner_sum.high;
  std::memcpy(bytes.data() + absent_table.offset, &inner, sizeof inner);
  std::memcpy(bytes.data() + older.root.offset, &absent_table, sizeof absent_table);
  const Sum128 root_sum = Checksum128(&absent_table, sizeof absent_table);
  older.root.sum_low = root_sum.low;
  older.root.sum_high = root_sum.high;
  Entry leaf = leaf_;
  PageSums sums;
  const Sum128 leaf_sum = SumPages(bytes.data() + leaf.offset, sums);
  leaf.sum_low = leaf_sum.low;
  leaf.sum_high = leaf_sum.high;
  bytes_ = Sealed(bytes, older);
  SetBytes("b", WithLeaf(leaf));
  Memory held = *Read("b");
  Result<ImageFile> image = Open("b");
  ASSERT_TRUE(image.has_value()) << LastError();
  for (uint64_t i = 0; i < 3; ++i) {
    FillSubtree(held, 1, i);
    ASSERT_TRUE(image->Store(held.data(), held.size(), 0).ok()) << LastError();
    const Result<Memory> found = Read("b");
    ASSERT_TRUE(found.has_value()) << LastError();
    EXPECT_TRUE(*found == held);
  }
}

}  // namespace
}  // namespace morsel::image
