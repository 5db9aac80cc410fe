#include "image/format/held_places.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "os/file/file_lock.h"
#include "os/testing/scratch_testing.h"

namespace morsel::image {
namespace {

constexpr uint64_t kLeaf = kSubtreeBytes;
using Extents = std::vector<FileExtent>;

// The file has eight places of leaves.
class HeldPlacesTest : public testing::Test {
 protected:
  os::File Open() const {
    Result<os::File> file =
        os::File::Open(os::KernelCalls(), AT_FDCWD, path_, O_RDWR | O_CREAT, 0600, path_);
    EXPECT_TRUE(file.has_value()) << LastError();
    EXPECT_TRUE(file->Resize(8 * kLeaf).ok());
    return std::move(*file);
  }
  os::Scratch scratch_ = os::Scratch::OnDisk();
  std::string path_ = scratch_.At("a");
  os::File writer_ = Open();
  os::File reader_ = Open();
  HeldPlaces held_;
};

TEST_F(HeldPlacesTest, WithoutReadersNothingIsHeld) {
  Extents used = {{kLeaf, kLeaf}};
  held_.Find(writer_, used);
  EXPECT_EQ(used, (Extents{{kLeaf, kLeaf}}));
  EXPECT_FALSE(held_.Has({0, 8 * kLeaf}));
  EXPECT_EQ(held_.Release({{kLeaf, kLeaf}}), (Extents{{kLeaf, kLeaf}}));
  EXPECT_TRUE(held_.LookAgain(writer_).empty());
}

TEST_F(HeldPlacesTest, WhatIsMappedCountsAsUsedUntilItIsNot) {
  ASSERT_TRUE(os::LockMapped(reader_, {{kLeaf, 4 * kLeaf}}));
  Extents used = {{2 * kLeaf, kLeaf}, {6 * kLeaf, kLeaf}};
  held_.Find(writer_, used);
  EXPECT_EQ(used,
            (Extents{{kLeaf, kLeaf}, {2 * kLeaf, kLeaf}, {3 * kLeaf, kLeaf}, {6 * kLeaf, kLeaf}}));
  EXPECT_TRUE(held_.Has({2 * kLeaf, kLeaf}));
  EXPECT_TRUE(held_.Has({3 * kLeaf, 2 * kLeaf}));
  EXPECT_FALSE(held_.Has({0, kLeaf}));
  EXPECT_FALSE(held_.Has({4 * kLeaf, 4 * kLeaf}));
  // What nothing leads to any more is free as far as it is not mapped.
  EXPECT_EQ(held_.Release({{2 * kLeaf, kLeaf}, {6 * kLeaf, kLeaf}}), (Extents{{6 * kLeaf, kLeaf}}));
  EXPECT_TRUE(held_.LookAgain(writer_).empty());
  os::UnlockMapped(reader_);
  ASSERT_TRUE(os::LockMapped(reader_, {{kLeaf, 2 * kLeaf}}));
  EXPECT_EQ(held_.LookAgain(writer_), (Extents{{2 * kLeaf, 2 * kLeaf}}));
  os::UnlockMapped(reader_);
  EXPECT_EQ(held_.LookAgain(writer_), (Extents{{kLeaf, kLeaf}}));
  EXPECT_TRUE(held_.LookAgain(writer_).empty());
}

// What is used when the reader goes is not free then.
TEST_F(HeldPlacesTest, WhatIsStillUsedIsNotGivenBack) {
  ASSERT_TRUE(os::LockMapped(reader_, {{kLeaf, 3 * kLeaf}}));
  Extents used = {{kLeaf, kLeaf}, {2 * kLeaf, kLeaf}};
  held_.Find(writer_, used);
  EXPECT_TRUE(held_.Release({{2 * kLeaf, kLeaf}}).empty());
  os::UnlockMapped(reader_);
  EXPECT_EQ(held_.LookAgain(writer_), (Extents{{2 * kLeaf, kLeaf}}));
  EXPECT_EQ(held_.Release({{kLeaf, kLeaf}}), (Extents{{kLeaf, kLeaf}}));
}

// The superblocks are the writer's, whoever says what.
TEST_F(HeldPlacesTest, SlotsAndWhatIsBehindTheEndAreNotHeld) {
  ASSERT_TRUE(os::LockMapped(reader_, {{0, 100 * kLeaf}}));
  Extents used;
  held_.Find(writer_, used);
  EXPECT_EQ(used.front(), (FileExtent{kExtentsStart, kSlotOffsets[1] - kExtentsStart}));
  EXPECT_EQ(used.back(), (FileExtent{kFileBytesMin, 8 * kLeaf - kFileBytesMin}));
  EXPECT_EQ(used.size(), 2U);
  const Space space(used);
  EXPECT_TRUE(space.free_runs().empty());
  EXPECT_EQ(space.end(), 8 * kLeaf);
}

}  // namespace
}  // namespace morsel::image
