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

// A byte of a superblock or of a table that changes is told, and nothing is lost with it.
TEST_F(DamageTest, EachByteOfEachCopyIsToldAndTheOtherServes) {
  SetBytes("b", bytes_);
  const int file = open((path_ + "/b").c_str(), O_RDWR | O_CLOEXEC);
  const auto flip = [&](uint64_t at, const std::string& bytes, int change) {
    const char flipped = static_cast<char>(bytes[at] ^ change);
    ASSERT_EQ(pwrite(file, &flipped, 1, static_cast<off_t>(at)), 1);
  };
  const auto is_padding = [&](uint64_t at, const Entry& table) {
    for (const FileExtent& copy : TableExtentsOf(table)) {
      if (at >= copy.offset + table.stored_bytes && at < copy.end()) return true;
    }
    return false;
  };
  for (const uint64_t begin : {kSlotOffsets[0], kSlotOffsets[1], superblock_.root.offset,
                               superblock_.root.second, table_.offset, table_.second}) {
    const std::string name = "offset " + std::to_string(begin) + " ";
    for (uint64_t at = begin; at < begin + kBlockBytes; at += kSlowBuild ? 37 : 1) {
      ASSERT_NO_FATAL_FAILURE(flip(at, bytes_, 1 << at % 8));
      const Result<ImageFile> image = Open("b", true);
      ASSERT_TRUE(image.has_value()) << at << ": " << LastError();
      ASSERT_EQ(image->info().generation, 2U) << at;
      ASSERT_TRUE(image->superblock().root == superblock_.root) << at;
      ASSERT_TRUE(image->tree().leaf(SubtreePosition(0)) == leaf_) << at;
      const std::vector<CopyFinding> found = image->FindDoubts();
      const bool is_told = !is_padding(at, superblock_.root) && !is_padding(at, table_);
      ASSERT_EQ(found.size(), is_told ? 1U : 0U) << at;
      if (is_told) {
        // Messages name offsets "at offset N".
        ASSERT_NE((found[0].message + " ").find("offset " + std::to_string(begin)),
                  std::string::npos)
            << found[0].message;
      }
      ASSERT_NO_FATAL_FAILURE(flip(at, bytes_, 0));
    }
  }
  // Both copies.
  for (const Entry& table : {superblock_.root, table_}) {
    for (uint64_t at = 0; at < table.stored_bytes; ++at) {
      ASSERT_NO_FATAL_FAILURE(flip(table.offset + at, bytes_, 1 << at % 8));
      ASSERT_NO_FATAL_FAILURE(flip(table.second + at, bytes_, 1 << (at + 1) % 8));
      ASSERT_EQ(Open("b", true).error(), Code::kCorrupt) << at;
      ASSERT_NO_FATAL_FAILURE(flip(table.offset + at, bytes_, 0));
      ASSERT_NO_FATAL_FAILURE(flip(table.second + at, bytes_, 0));
    }
  }
  close(file);
  EXPECT_TRUE(Open("b", true)->FindDoubts().empty());
}

TEST_F(DamageTest, ATableThatCannotBeReadIsToldAndTheOtherCopyServes) {
  SetBytes("b", bytes_);
  for (const uint64_t unread :
       {superblock_.root.offset, superblock_.root.second, table_.offset, table_.second}) {
    os::ScriptedCalls calls(os::FailReadsOf(unread));
    Result<ImageFile> image = Open("b", true, calls);
    ASSERT_TRUE(image.has_value()) << LastError();
    EXPECT_EQ(image->FindDoubts().size(), 1U);
    Memory found(memory_.size(), '\0');
    ASSERT_TRUE(image->Load(found.data()).ok()) << LastError();
    EXPECT_TRUE(found == memory_);
    image = Open("b", false, calls);
    ASSERT_TRUE(image.has_value()) << LastError();
  }
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
  wrong.lists[1].sum_low ^= 1;  // so that it is no copy
  ExpectRefused(Sealed(bytes_, wrong), Code::kCorrupt, "list 1 of 1 replaced pages");
  wrong.lists[1] = list_;
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
  for (uint64_t at = kSubtreeBytes; at < bytes.size(); at += kSubtreeBytes / 2) bytes[at] ^= 1;
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
  uint64_t needed = kFileBytesMin;
  for (const Entry& entry : {superblock_.root, table_}) {
    for (const FileExtent& copy : TableExtentsOf(entry)) needed = std::max(needed, copy.end());
  }
  for (const FileExtent& extent :
       {LeafExtentOf(leaf_), SumsExtentOf(leaf_), ListExtentOf(list_),
        ListExtentOf(superblock_.lists[1]), FileExtent{patch_.offset, kPageBytes}}) {
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
  bytes[kSlotOffsets[1] + 100] ^= 1;
  ExpectRefused(bytes, Code::kCorrupt, "offset 1048576 fails its checksum");
  std::memcpy(bytes.data(), bytes_.data() + kSlotOffsets[1], kSuperblockBytes);
  ExpectRefused(bytes, Code::kCorrupt, "does not belong there");
}

// Power was lost while the first superblock of the generation was written.
TEST_F(DamageTest, TornNewestSuperblockLeavesTheOlderGeneration) {
  std::string bytes = bytes_;
  bytes.replace(kSlotOffsets[1], kSuperblockBytes, older_bytes_, kSlotOffsets[1], kSuperblockBytes);
  SetBytes("b", bytes);
  EXPECT_TRUE(*Read("b") == memory_);
  bytes[kSlotOffsets[0] + 600] ^= 1;
  SetBytes("b", bytes);
  const Result<Memory> found = Read("b");
  ASSERT_TRUE(found.has_value()) << LastError();
  EXPECT_TRUE(*found == older_);
  EXPECT_TRUE(Open("b", true)->info().may_be_older);
}

// What a torn write of a superblock cannot have changed is damage.
TEST_F(DamageTest, WhatNoTornWriteLeavesIsToldAsDamage) {
  SetBytes("b", bytes_);
  const int file = open((path_ + "/b").c_str(), O_RDWR | O_CLOEXEC);
  for (const uint64_t slot : kSlotOffsets) {
    for (uint64_t at = 0; at < kSuperblockBytes; at += kSlowBuild ? 37 : 1) {
      const char changed = static_cast<char>(bytes_[slot + at] ^ 1);
      ASSERT_EQ(pwrite(file, &changed, 1, static_cast<off_t>(slot + at)), 1);
      const Result<ImageFile> image = Open("b", true);
      ASSERT_TRUE(image.has_value()) << at << ": " << LastError();
      ASSERT_TRUE(image->info().may_be_older) << at;
      const std::vector<CopyFinding> found = image->FindDoubts();
      ASSERT_EQ(found.size(), 1U) << at;
      const bool is_newer = slot == SlotOffset(kNewest);
      if (at >= offsetof(ImageSuperblock, reserved) || (is_newer && at < kSectorBytes)) {
        ASSERT_TRUE(found[0].is_damage) << slot + at << ": " << found[0].message;
      }
      ASSERT_EQ(pwrite(file, &bytes_[slot + at], 1, static_cast<off_t>(slot + at)), 1);
    }
  }
  close(file);
}

TEST_F(DamageTest, ASuperblockThatCannotBeReadIsToldAndTheOtherServes) {
  for (const uint64_t unread : kSlotOffsets) {
    SetBytes("b", bytes_);
    os::ScriptedCalls calls(os::FailReadsOf(unread + 1000));
    const Result<ImageFile> image = Open("b", true, calls);
    ASSERT_TRUE(image.has_value()) << LastError();
    Memory found(memory_.size(), '\0');
    ASSERT_TRUE(image->Load(found.data()).ok()) << LastError();
    EXPECT_TRUE(found == memory_);
    const std::vector<CopyFinding> doubts = image->FindDoubts();
    ASSERT_EQ(doubts.size(), 1U);
    EXPECT_TRUE(doubts[0].is_damage);
    EXPECT_NE(doubts[0].message.find("cannot be read"), std::string::npos) << doubts[0].message;
    EXPECT_TRUE(CheckNotOverwritten(image->file(), image->superblock()).ok() ||
                unread == SlotOffset(kNewest))
        << LastError();
    // Who writes the image writes it anew.
    EXPECT_TRUE(Open("b", false, calls).has_value()) << LastError();
    EXPECT_TRUE(Open("b", true)->FindDoubts().empty());
  }
  os::ScriptedCalls calls([](const os::Call& call) {
    return call.kind == os::Call::kRead && call.offset <= kSlotOffsets[1] ? EIO : 0;
  });
  EXPECT_EQ(Open("b", true, calls).error(), Code::kIo);
}

TEST_F(DamageTest, OlderVersionsAreSaidToBeOlder) {
  ImageSuperblock older = superblock_;
  older.version = 3;
  ExpectRefused(Sealed(bytes_, older), Code::kVersion,
                "is of version 3 with features 0x0; this library knows version 5");
}

TEST_F(DamageTest, NewerVersionsAndFeaturesAreSaidToBeNewer) {
  ImageSuperblock newer = superblock_;
  newer.version = kVersion + 1;
  ExpectRefused(Sealed(bytes_, newer), Code::kVersion, "is of version 6");
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
  refuse([](ImageSuperblock& s) { s.generation = 0; });
  refuse([](ImageSuperblock& s) { s.generation |= kGenerationsEnd; });
  refuse([](ImageSuperblock& s) { s.sequence |= kGenerationsEnd; });
  refuse([](ImageSuperblock& s) { s.root.offset = 0; });
  refuse([](ImageSuperblock& s) { s.root.offset += 1; });
  refuse([](ImageSuperblock& s) { s.root.second = 0; });
  refuse([](ImageSuperblock& s) { s.root.second += 1; });
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
  leaf.offset = AlignUp(bytes_.size(), kSubtreeBytes);
  ExpectRefused(WithLeaf(leaf), Code::kCorrupt,
                "subtree 0 (0x100100000000-0x100100200000) lies at");
  leaf = leaf_;
  leaf.second = AlignUp(bytes_.size(), kBlockBytes);
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

// [IMG-4] [IMG-10]
TEST_F(DamageTest, PlacesThatCannotBeAreRefused) {
  Entry leaf = leaf_;
  leaf.second = kSlotOffsets[1];
  ExpectRefused(WithLeaf(leaf), Code::kCorrupt, "two extents meet");
  leaf.second = leaf.offset;
  ExpectRefused(WithLeaf(leaf), Code::kCorrupt, "two extents meet");
  leaf.second = kBlockBytes;
  ExpectRefused(WithLeaf(leaf), Code::kCorrupt, "impossible extent");
  leaf = leaf_;
  leaf.offset += kBlockBytes;
  if (codec_ == Codec::kNone) ExpectRefused(WithLeaf(leaf), Code::kCorrupt, "impossible extent");
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

}  // namespace
}  // namespace morsel::image
