// For tests: an image, and versions of its bytes that somebody has changed on purpose.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/checksum.h"
#include "image/image_testing.h"

namespace morsel::image {

/// Makes a small image of two generations, and knows its bytes and where its parts are.
class DamageTest : public ImageTest {
 protected:
  explicit DamageTest(Codec codec = Codec::kNone) : codec_(codec) {}
  void SetUp() override {
    ImageTest::SetUp();
    older_ = MemoryOf(2);
    codec_ == Codec::kNone ? FillSubtree(older_, 0, 1) : FillHalf(older_, 0, 1);
    Result<ImageFile> image = Create("a", older_, TestCalls(), codec_);
    ASSERT_TRUE(image.has_value()) << LastError();
    older_bytes_ = Bytes("a");
    memory_ = older_;
    memory_[12345] ^= 1;
    ASSERT_TRUE(image->Store(memory_.data(), memory_.size(), 3).ok());
    bytes_ = Bytes("a");
    Load(superblock_, SlotOffset(kNewest));
    Load(table_, superblock_.root.offset);
    Load(leaf_, table_.offset);
    list_ = superblock_.lists[0];
    Load(patch_, list_.offset);
  }

  /// Sets `to` from the bytes at `offset`.
  template <class T>
  void Load(T& to, uint64_t offset) {
    std::memcpy(&to, bytes_.data() + offset, sizeof to);
  }
  /// Puts the first entry of a table into its copies.
  static void Put(std::string& bytes, const Entry& entry, const Entry& table) {
    for (const FileExtent& copy : TableExtentsOf(table)) {
      if (!Within(copy.offset, sizeof entry, bytes.size())) continue;
      std::memcpy(bytes.data() + copy.offset, &entry, sizeof entry);
    }
  }
  /// Puts a superblock into `bytes`, with a right checksum whatever its fields say. The other
  /// With*() do the same for a part of the image: all sums above it are right.
  static std::string Sealed(std::string bytes, ImageSuperblock superblock) {
    const uint64_t offset = SlotOffset(superblock.sequence);
    superblock.checksum = 0;
    superblock.checksum = Checksum64(&superblock, sizeof superblock);
    std::memcpy(bytes.data() + offset, &superblock, sizeof superblock);
    return bytes;
  }
  std::string WithRootTable(const Entry& table) const {
    std::string bytes = bytes_;
    Put(bytes, table, superblock_.root);
    ImageSuperblock superblock = superblock_;
    const Sum128 sum = Checksum128(&table, sizeof table);
    superblock.root.sum_low = sum.low;
    superblock.root.sum_high = sum.high;
    return Sealed(bytes, superblock);
  }
  std::string WithLeaf(const Entry& leaf) const {
    Entry table = table_;
    const Sum128 sum = Checksum128(&leaf, sizeof leaf);
    table.sum_low = sum.low;
    table.sum_high = sum.high;
    std::string bytes = WithRootTable(table);
    Put(bytes, leaf, table);
    return bytes;
  }

  /// The list has no other copy then.
  std::string WithList(const PatchList& list) const {
    ImageSuperblock superblock = superblock_;
    superblock.lists[0] = list;
    superblock.lists[1] = {};
    return Sealed(bytes_, superblock);
  }
  std::string WithPatch(const Patch& patch) const {
    PatchList list = list_;
    const Sum128 sum = Checksum128(&patch, sizeof patch);
    list.sum_low = sum.low;
    list.sum_high = sum.high;
    std::string bytes = WithList(list);
    std::memcpy(bytes.data() + list.offset, &patch, sizeof patch);
    return bytes;
  }

  /// Checks that reading the image fails with `code` and a message that has `words`. If opening it
  /// for writing fails, too, the file has not changed.
  void ExpectRefused(const std::string& bytes, Code code, const char* words) {
    SetBytes("b", bytes);
    const Result<Memory> found = Read("b");
    EXPECT_EQ(found.error(), code) << LastError();
    EXPECT_TRUE(Says(words)) << LastError() << "\n does not say: " << words;
    const Result<ImageFile> for_writing = Open("b");
    EXPECT_TRUE(for_writing.has_value() || Bytes("b") == bytes) << "refused, and changed";
  }

  /// Each of the two generations has two superblocks.
  static constexpr uint64_t kNewest = 4;

  Codec codec_;
  Memory older_;
  std::string older_bytes_;
  Memory memory_;
  std::string bytes_;
  ImageSuperblock superblock_;
  Entry table_;
  Entry leaf_;  ///< the second generation replaces one of its pages
  PatchList list_;
  Patch patch_;
};

}  // namespace morsel::image
