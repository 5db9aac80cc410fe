// For tests: images that are stored to, and what that writes.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>
#include <string>

#include "base/bits.h"
#include "image/format/superblock.h"
#include "image/format/tree_reader.h"
#include "image/image_testing.h"

namespace morsel::image {

class StoreTest : public ImageTest {
 protected:
  // Makes an image "a" of two generations, so that both superblocks are in use.
  void CreateTwo(Memory& memory) {
    memory = MemoryOf(3);
    FillSubtree(memory, 0, 1);
    FillSubtree(memory, 2, 2);
    Result<ImageFile> image = Create("a", memory);
    ASSERT_TRUE(image.has_value()) << LastError();
    FillSubtree(memory, 0, 3);
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
  }
  // Changes `count` bytes anywhere; some may be in the same page. Returns the dirty pages.
  static os::PageSet ChangePages(Memory& memory, std::mt19937_64& random, uint64_t count) {
    os::PageSet dirty;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t at = random() % memory.size();
      memory[at] = static_cast<char>(memory[at] + 1);
      dirty.Add(AlignDown(at, kPageBytes), kPageBytes);
    }
    return dirty;
  }
  uint64_t AllocatedBytes(const std::string& name) const {
    struct stat status;
    EXPECT_EQ(stat((path_ + "/" + name).c_str(), &status), 0);
    return static_cast<uint64_t>(status.st_blocks) * 512;
  }
  Tree TreeOf(const std::string& name) {
    const Result<ImageFile> image = Open(name, true);
    return *ReadTree(image->file(), ReadSuperblocks(image->file())->current);
  }
  void ExpectHolds(const std::string& name, const Memory& memory) {
    const Result<Memory> found = Read(name);
    ASSERT_TRUE(found.has_value()) << LastError();
    EXPECT_TRUE(*found == memory);
  }
};

}  // namespace morsel::image
