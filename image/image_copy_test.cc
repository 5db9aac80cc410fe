// A copy of an image is the same morsel and has nothing of what else is in the file.
#include "image/image_copy.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "image/image_testing.h"

namespace morsel::image {
namespace {

class ImageCopyTest : public ImageTest {
 protected:
  Status Copy(const ImageFile& image, const std::string& name) {
    const Result<os::Directory> directory = os::Directory::Open(TestCalls(), path_);
    if (!directory) return directory.status();
    return CopyInto(image, *directory, name, {.rights = 0640});
  }
  void ExpectHolds(const std::string& name, const Memory& memory) {
    const Result<Memory> found = Read(name);
    ASSERT_TRUE(found) << LastError();
    EXPECT_TRUE(*found == memory);
  }
};

TEST_F(ImageCopyTest, CopyHoldsTheLastGenerationWithItsReplacedPages) {
  Memory memory = MemoryOf(5);
  FillSubtree(memory, 0, 1);
  FillSubtree(memory, 3, 2);
  Result<ImageFile> image = Create("a", memory);
  ASSERT_TRUE(image) << LastError();
  ASSERT_TRUE(Copy(*image, "first").ok()) << LastError();
  ExpectHolds("first", memory);
  const Memory older = memory;
  for (int round = 0; round < 4; ++round) {
    FillSubtree(memory, 1, 3 + round);
    memory[12345 + round * kPageBytes] ^= 1;
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 3).ok()) << LastError();
  }
  ASSERT_TRUE(Copy(*image, "b").ok()) << LastError();
  ExpectHolds("b", memory);
  ExpectHolds("first", older);
  // The copy is an image like any other, and the original can still be written.
  Result<ImageFile> copy = Open("b");
  ASSERT_TRUE(copy) << LastError();
  EXPECT_EQ(copy->info().generation, image->info().generation);
  EXPECT_EQ(copy->info().id, image->info().id);
  FillSubtree(memory, 4, 9);
  ASSERT_TRUE(copy->Store(memory.data(), memory.size(), 3).ok()) << LastError();
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 3).ok()) << LastError();
  ExpectHolds("a", memory);
  ExpectHolds("b", memory);
}

// A new morsel has some pages of its first 2 MiB. What else that has is holes in the copy, too.
TEST_F(ImageCopyTest, ZerosAreHolesInTheCopy) {
  Memory memory = MemoryOf(3);
  for (const uint64_t page : {0, 1, 40, 300, 700}) memory[page * kPageBytes + page] = 'x';
  FillSubtree(memory, 2, 1);
  const Result<ImageFile> image = Create("a", memory);
  ASSERT_TRUE(image) << LastError();
  SetBytes("full", Bytes("a"));  // without holes
  const Result<ImageFile> full = Open("full", true);
  ASSERT_TRUE(full) << LastError();
  for (const ImageFile* from : {&*image, &*full}) {
    ASSERT_TRUE(Copy(*from, "b").ok()) << LastError();
    ExpectHolds("b", memory);
    struct stat status;
    ASSERT_EQ(stat((path_ + "/b").c_str(), &status), 0);
    EXPECT_LT(static_cast<uint64_t>(status.st_blocks) * 512, kSubtreeBytes + 512 * kKiB);
    std::filesystem::remove(path_ + "/b");
  }
}

TEST_F(ImageCopyTest, CopyOfAnEmptyMorselIsSmall) {
  const Memory memory = MemoryOf(3);
  Result<ImageFile> image = Create("a", memory);
  ASSERT_TRUE(image) << LastError();
  ASSERT_TRUE(Copy(*image, "b").ok()) << LastError();
  ExpectHolds("b", memory);
  EXPECT_EQ(Bytes("b").size(), kFileBytesMin);
}

TEST_F(ImageCopyTest, DamagedImageIsNotCopied) {
  Memory memory = MemoryOf(3);
  for (uint64_t i = 0; i < 3; ++i) FillSubtree(memory, i, i + 1);
  ASSERT_TRUE(Create("a", memory)) << LastError();
  std::string bytes = Bytes("a");
  const Result<ImageFile> whole = Open("a", true);
  for (const uint64_t i : {0, 2}) {
    bytes[whole->tree().leaf(SubtreePosition(i)).offset + 5] ^= 1;
  }
  SetBytes("a", bytes);
  const Result<ImageFile> image = Open("a", true);
  ASSERT_TRUE(image) << LastError();
  EXPECT_EQ(Copy(*image, "b").code(), Code::kCorrupt);
  EXPECT_TRUE(Says("subtree 0 (") && Says("1 others")) << LastError();
  EXPECT_EQ(Read("b").error(), Code::kNotFound);
}

// When a newer state is in both slots, others may be written over what is read.
TEST_F(ImageCopyTest, ImageThatIsWrittenMeanwhileIsNotCopied) {
  Memory memory = MemoryOf(2);
  FillSubtree(memory, 0, 1);
  Result<ImageFile> writer = Create("a", memory);
  const Result<ImageFile> reader = Open("a", true);
  ASSERT_TRUE(writer && reader) << LastError();
  const Memory then = memory;
  EXPECT_TRUE(CheckNotOverwritten(*reader).ok()) << LastError();
  ASSERT_TRUE(Copy(*reader, "b").ok()) << LastError();
  ExpectHolds("b", then);
  FillSubtree(memory, 0, 3);
  ASSERT_TRUE(writer->Store(memory.data(), memory.size(), 3).ok());
  EXPECT_EQ(CheckNotOverwritten(*reader).code(), kOvertaken);
  EXPECT_EQ(Copy(*reader, "c").code(), kOvertaken);
  EXPECT_NE(std::strstr(LastError(), "was written by somebody else while it was read"), nullptr)
      << LastError();
  EXPECT_TRUE(Says("somebody else")) << LastError();
  EXPECT_EQ(Read("c").error(), Code::kNotFound);
}

}  // namespace
}  // namespace morsel::image
