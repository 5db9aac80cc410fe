// Images that are written anew with another codec hold the same memory.
#include <gtest/gtest.h>

#include <filesystem>

#include "image/image_copy.h"
#include "image/image_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::image {
namespace {

class ImageRecodeTest : public ImageTest {
 protected:
  static constexpr uint64_t kHalves = kSlowBuild ? 8 : 12;
  // Makes an image of more leaves than are under way at a time. One leaf does not compress, some
  // have patches, and some subtrees in between are zero.
  Result<ImageFile> MakePatched(Codec from = Codec::kLz4) {
    for (uint64_t i = 0; i < kHalves; ++i) FillHalf(memory_, i, i + 1);
    FillSubtree(memory_, 14, 99);
    Result<ImageFile> image = Create("a", memory_, TestCalls(), from);
    if (!image) return image;
    for (uint64_t checkpoint = 0; checkpoint < 3; ++checkpoint) {
      for (const uint64_t subtree : {0, 3, 14}) {
        for (uint64_t page = 0; page < 20; ++page) {
          memory_[subtree * kSubtreeBytes + (page * 7 + checkpoint) * kPageBytes] ^= 1;
        }
      }
      if (Status stored = image->Store(memory_.data(), memory_.size(), 3); !stored.ok()) {
        return stored;
      }
    }
    return image;
  }
  Status Recode(const ImageFile& image, Codec codec, const std::string& name,
                const Damaged* damaged = nullptr, os::SystemCalls& calls = TestCalls()) {
    const Result<os::Directory> directory = os::Directory::Open(calls, path_);
    if (!directory) return directory.status();
    return RecodeInto(image, codec, *directory, name, {.rights = 0640}, damaged);
  }
  void Flip(uint64_t offset) {
    std::string bytes = Bytes("a");
    bytes[offset] ^= 1;
    SetBytes("a", bytes);
  }

  Memory memory_ = MemoryOf(16);
};

class ImageRecodeAllTest : public ImageRecodeTest, public testing::WithParamInterface<Codec> {};

INSTANTIATE_TEST_SUITE_P(From, ImageRecodeAllTest, testing::ValuesIn(EveryCodec()),
                         [](const auto& info) { return CodecName(info.param); });

TEST_P(ImageRecodeAllTest, RecodedImageHoldsTheSameMemory) {
  const Result<ImageFile> image = MakePatched(GetParam());
  ASSERT_TRUE(image) << LastError();
  ASSERT_GT(image->tree().listed.size(), 0u);
  for (const Codec codec : EveryCodec()) {
    if (kSlowBuild && codec != Codec::kLz4) continue;
    const std::string name = CodecName(codec);
    ASSERT_TRUE(Recode(*image, codec, name).ok()) << LastError();
    Result<ImageFile> made = Open(name);
    ASSERT_TRUE(made) << LastError();
    EXPECT_EQ(made->info().codec, codec);
    EXPECT_EQ(made->info().live_bytes, image->info().live_bytes);
    EXPECT_EQ(made->info().size_bytes, image->info().size_bytes);
    EXPECT_EQ(made->info().generation, image->info().generation);
    EXPECT_TRUE(made->tree().listed.empty()) << "pages are not in their places";
    EXPECT_EQ(made->tree().leaf(SubtreePosition(1)).codec, codec);
    const Result<Memory> found = Read(name);
    ASSERT_TRUE(found) << LastError();
    EXPECT_TRUE(*found == memory_) << name;
    // The new image can be written like any other.
    Memory next = memory_;
    next[5] ^= 1;
    ASSERT_TRUE(made->Store(next.data(), next.size(), 3).ok()) << LastError();
    EXPECT_TRUE(*Read(name) == next);
    EXPECT_EQ(Recode(*image, codec, name).code(), Code::kExists);
  }
  EXPECT_TRUE(*Read("a") == memory_) << "the original has changed";
}

TEST_F(ImageRecodeTest, RecodedEmptyMorselIsSmall) {
  const Result<ImageFile> image = Create("a", memory_, TestCalls());
  ASSERT_TRUE(image) << LastError();
  ASSERT_TRUE(Recode(*image, Codec::kLz4, "b").ok()) << LastError();
  EXPECT_EQ(Bytes("b").size(), kFileBytesMin);
}

// A leaf is damaged, and a patch of another leaf.
TEST_F(ImageRecodeTest, DamagedImageIsRefusedOrItsIntactPartsAreRecoded) {
  {
    const Result<ImageFile> image = MakePatched();
    ASSERT_TRUE(image) << LastError();
    Flip(image->tree().leaf(SubtreePosition(7)).offset + 100);
    Flip(image->tree().listed.lower_bound(3 * kPagesPerLeaf)->second.offset + 9);
  }
  const Result<ImageFile> image = Open("a", true);
  ASSERT_TRUE(image) << LastError();
  EXPECT_EQ(Recode(*image, Codec::kZstd, "b").code(), Code::kCorrupt);
  EXPECT_TRUE(Says("subtree 3 (0x")) << LastError();
  EXPECT_EQ(Read("b").error(), Code::kNotFound);
  std::vector<std::string> said;
  const Damaged damaged = [&](Status) {
    said.emplace_back(LastError());
    return Status();
  };
  ASSERT_TRUE(Recode(*image, Codec::kZstd, "b", &damaged).ok()) << LastError();
  ASSERT_EQ(said.size(), 2u);
  EXPECT_NE(said[0].find("subtree 3 (0x"), std::string::npos) << said[0];
  EXPECT_NE(said[1].find("subtree 7 (0x"), std::string::npos) << said[1];
  for (const uint64_t subtree : {3, 7}) {
    std::memset(memory_.data() + subtree * kSubtreeBytes, 0, kSubtreeBytes);
  }
  EXPECT_TRUE(*Read("b") == memory_);
}

TEST_F(ImageRecodeTest, ImageThatIsWrittenMeanwhileIsNotRecoded) {
  Result<ImageFile> writer = MakePatched();
  const Result<ImageFile> reader = Open("a", true);
  ASSERT_TRUE(writer && reader) << LastError();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(writer->Store(memory_.data(), memory_.size(), 4 + i).ok());
  }
  EXPECT_EQ(Recode(*reader, Codec::kLz4, "b").code(), kOvertaken);
  EXPECT_EQ(Read("b").error(), Code::kNotFound);
}

// The write fails while other leaves are read into the writer's memory.
TEST_F(ImageRecodeTest, FailedWriteLeavesNoImage) {
  ASSERT_TRUE(MakePatched()) << LastError();
  for (const int call : {3, 8, 16}) {
    os::ScriptedCalls calls;
    const Result<ImageFile> image = Open("a", true);
    calls.Play(os::FailOnce(call, ENOSPC));
    const Status made = Recode(*image, Codec::kLz4, "b", nullptr, calls);
    calls.Heal();
    EXPECT_EQ(Read("b").has_value(), made.ok());
    EXPECT_NE(made.code(), Code::kCorrupt) << LastError();
    std::filesystem::remove(path_ + "/b");
  }
}

}  // namespace
}  // namespace morsel::image
