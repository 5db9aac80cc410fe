// For tests: images with a log, and the states that its records lead to.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "image/log/record_layout.h"
#include "image/store_testing.h"

namespace morsel::image {

/// Each test has an image "a" of three subtrees, all in use. The first small checkpoint makes a
/// log.
class LogTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    setenv("MORSEL_LOG", "always", 1);
    memory_ = MemoryOf(3);
    for (uint64_t subtree = 0; subtree < 3; ++subtree) FillSubtree(memory_, subtree, subtree + 1);
    ASSERT_TRUE(Create("a", memory_).has_value()) << LastError();
    Reopen();
  }
  void TearDown() override {
    unsetenv("MORSEL_LOG");
    StoreTest::TearDown();
  }

  /// Opens the image for writing, as the next process does. What was open before is dropped.
  void Reopen() {
    image_.reset();
    Result<ImageFile> image = Open("a", false, calls_);
    ASSERT_TRUE(image.has_value()) << LastError();
    image_.emplace(std::move(*image));
  }
  /// Changes one byte of each of these pages, and returns them.
  os::PageSet Change(const std::vector<uint64_t>& pages) {
    os::PageSet dirty;
    for (const uint64_t page : pages) {
      char& byte = memory_[page * kPageBytes + page % kPageBytes];
      byte = static_cast<char>(byte + 1);
      dirty.Add(page * kPageBytes, kPageBytes);
    }
    return dirty;
  }
  Status Store(const os::PageSet& dirty, uint64_t live_bytes = 0) {
    return image_->Store(memory_.data(), memory_.size(), live_bytes, &dirty);
  }
  /// A checkpoint that changes these pages, and remembers the state.
  void Commit(const std::vector<uint64_t>& pages) {
    const os::PageSet dirty = Change(pages);
    ASSERT_TRUE(Store(dirty).ok()) << LastError();
    states_.push_back(memory_);
  }

  /// The newest superblock in these bytes.
  static ImageSuperblock SuperblockIn(const std::string& bytes) {
    ImageSuperblock slots[2];
    for (size_t i = 0; i < 2; ++i) {
      std::memcpy(&slots[i], bytes.data() + kSlotOffsets[i], sizeof slots[i]);
    }
    return slots[0].sequence > slots[1].sequence ? slots[0] : slots[1];
  }
  /// Where the records of the log in these bytes begin.
  static std::vector<uint64_t> RecordsIn(const std::string& bytes) {
    const ImageSuperblock superblock = SuperblockIn(bytes);
    std::vector<uint64_t> offsets;
    for (uint64_t at = superblock.log_offset;;) {
      RecordHead head;
      std::memcpy(&head, bytes.data() + at, sizeof head);
      const uint64_t position =
          superblock.log_position + (at - superblock.log_offset) / kBlockBytes;
      if (head.magic != kRecordMagic || head.position != position) return offsets;
      offsets.push_back(at);
      at += head.block_count * kBlockBytes;
    }
  }
  /// Gives the record at `offset` a right sum, whatever its head says.
  static void Seal(std::string& bytes, uint64_t offset) {
    RecordHead head;
    std::memcpy(&head, bytes.data() + offset, sizeof head);
    head.checksum = 0;
    std::memcpy(bytes.data() + offset, &head, sizeof head);
    head.checksum = Checksum64(bytes.data() + offset, HeadBlocks(head.page_count) * kBlockBytes);
    std::memcpy(bytes.data() + offset, &head, sizeof head);
  }

  os::ScriptedCalls calls_;
  Memory memory_;
  std::optional<ImageFile> image_;
  std::vector<Memory> states_;  ///< after each Commit()
};

}  // namespace morsel::image
