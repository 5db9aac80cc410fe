// All that is intact of a damaged image is found.
#include <gtest/gtest.h>

#include <filesystem>

#include "image/image_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::image {
namespace {

class SalvageTest : public ImageTest {
 protected:
  void SetUp() override {
    ImageTest::SetUp();
    Make(6, {0, 1, 5});
  }
  void TearDown() override {
    close(file_);
    ImageTest::TearDown();
  }

  void Make(uint64_t subtrees, const std::vector<uint64_t>& used) {
    if (file_ >= 0) close(file_);
    std::filesystem::remove(path_ + "/a");
    memory_ = MemoryOf(subtrees);
    for (const uint64_t subtree : used) FillSubtree(memory_, subtree, subtree + 1);
    Result<ImageFile> image = Create("a", memory_);
    ASSERT_TRUE(image) << LastError();
    memory_[12345] ^= 1;  // subtree 0 has a replaced page
    ASSERT_TRUE(image->Store(memory_.data(), memory_.size(), 3).ok()) << LastError();
    tree_ = image->tree();
    file_ = open((path_ + "/a").c_str(), O_RDWR | O_CLOEXEC);
  }

  void Damage(uint64_t offset) {
    char byte = 0;
    ASSERT_EQ(pread(file_, &byte, 1, static_cast<off_t>(offset)), 1);
    byte = static_cast<char>(byte ^ 4);
    ASSERT_EQ(pwrite(file_, &byte, 1, static_cast<off_t>(offset)), 1);
  }
  // Checks that all but the subtrees in `lost` are found, and that each message has its part of
  // `words`.
  void ExpectLost(const std::vector<uint64_t>& lost, const std::vector<std::string>& words) {
    std::vector<std::string> said;
    const Damaged damaged = [&](Status status) {
      EXPECT_NE(status.code(), Code::kOk);
      said.emplace_back(LastError());
      return Status();
    };
    Result<os::File> file =
        os::File::Open(TestCalls(), AT_FDCWD, path_ + "/a", O_RDONLY, 0, path_ + "/a");
    const Result<ImageFile> image = ImageFile::OpenIntact(std::move(*file), damaged);
    ASSERT_TRUE(image) << LastError();
    Memory found(memory_.size(), '\0');
    ASSERT_TRUE(image->LoadIntact(found.data(), damaged).ok()) << LastError();
    for (const uint64_t subtree : lost) {
      std::memset(memory_.data() + subtree * kSubtreeBytes, 0, kSubtreeBytes);
    }
    EXPECT_TRUE(found == memory_);
    ASSERT_EQ(said.size(), words.size());
    for (size_t i = 0; i < said.size(); ++i) {
      EXPECT_NE(said[i].find(words[i]), std::string::npos) << said[i];
    }
  }

  Memory memory_;
  Tree tree_;
  int file_ = -1;
};

TEST_F(SalvageTest, IntactImageIsFoundWhole) { ExpectLost({}, {}); }

TEST_F(SalvageTest, DamagedLeavesAreLostAlone) {
  Damage(tree_.leaf(SubtreePosition(1)).offset + 7);
  Damage(tree_.leaf(SubtreePosition(5)).offset + 7);
  ExpectLost({1, 5}, {"subtree 1 (0x100100200000-0x100100400000)", "subtree 5 (0x100100a00000-"});
}

TEST_F(SalvageTest, DamagedPatchLosesItsSubtree) {
  Damage(tree_.listed.begin()->second.offset + 9);
  ExpectLost({0}, {"subtree 0 ("});
}

// Nobody knows any more which leaves the list had pages of. It had none of younger leaves.
TEST_F(SalvageTest, DamagedListLosesTheLeavesThatAreOlder) {
  {
    Result<ImageFile> image = Open("a");
    ASSERT_TRUE(image) << LastError();
    FillSubtree(memory_, 5, 77);
    ASSERT_TRUE(image->Store(memory_.data(), memory_.size(), 3).ok()) << LastError();
  }
  for (const PatchList& list : tree_.lists) Damage(list.offset);
  ExpectLost({0, 1}, {"the list of replaced pages at offset"});
}

TEST_F(SalvageTest, DamagedTableLosesItsLeavesAndNoMore) {
  Make(kSubtreesPerGiant + 3, {0, 1, kSubtreesPerGiant + 2});
  Damage(tree_.tables[0].entry.offset + 5);
  Damage(tree_.tables[0].entry.second + 5);
  ExpectLost({0, 1}, {"the table of subtrees 0-511 (0x100100000000-0x100140000000)"});
}

TEST_F(SalvageTest, DamagedRootTableLosesTheImage) {
  Damage(tree_.root.offset + 5);
  Damage(tree_.root.second + 5);
  Result<os::File> file =
      os::File::Open(TestCalls(), AT_FDCWD, path_ + "/a", O_RDONLY, 0, path_ + "/a");
  const Result<ImageFile> image =
      ImageFile::OpenIntact(std::move(*file), [](Status) { return Status(); });
  EXPECT_EQ(image.error(), Code::kCorrupt);
  EXPECT_TRUE(Says("the root table")) << LastError();
}

// The sums serve to find what has changed since the last checkpoint. Nothing is lost with them.
TEST_F(SalvageTest, DamagedSumsOfALeafLoseNothing) {
  Damage(SumsExtentOf(tree_.leaf(SubtreePosition(1))).end() - 100);
  const Result<ImageFile> image = Open("a", true);
  ASSERT_TRUE(image) << LastError();
  std::vector<std::string> said;
  const auto report = [&](const char* message) { said.emplace_back(message); };
  ASSERT_TRUE(image->Verify(report, Verified::kLoadable).ok()) << LastError();
  EXPECT_TRUE(said.empty()) << said[0];
  ASSERT_TRUE(image->Verify(report).ok()) << LastError();
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("the sums of the pages of subtree 1 (0x"), std::string::npos) << said[0];
  EXPECT_NE(said[0].find("loses nothing"), std::string::npos) << said[0];
  EXPECT_TRUE(*Read("a") == memory_);
}

TEST_F(SalvageTest, UnreadableSumsLoseNothingAndAnUnreadableLeafIsNamed) {
  os::ScriptedCalls calls;
  const Entry leaf = tree_.leaf(SubtreePosition(1));
  const Result<ImageFile> image = Open("a", true, calls);
  ASSERT_TRUE(image) << LastError();
  std::vector<std::string> said;
  const auto report = [&](const char* message) { said.emplace_back(message); };
  calls.Play(os::FailReadsOf(leaf.second));
  ASSERT_TRUE(image->Verify(report, Verified::kLoadable).ok()) << LastError();
  EXPECT_TRUE(said.empty()) << said[0];
  calls.Play(os::FailReadsOf(LeafExtentOf(leaf).end() - 1));
  ASSERT_TRUE(image->Verify(report, Verified::kLoadable).ok()) << LastError();
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("subtree 1 (0x"), std::string::npos) << said[0];
}

}  // namespace
}  // namespace morsel::image
