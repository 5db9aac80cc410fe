// Creating and opening an image while each system call fails in turn.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "image/image_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::image {
namespace {

class CreateTest : public ImageTest {
 protected:
  std::vector<std::string> NamesThere() const {
    const Result<os::Directory> directory = os::Directory::Open(os::KernelCalls(), path_);
    std::vector<std::string> names = *directory->Names();
    std::erase_if(names, [](const std::string& name) { return name == "." || name == ".."; });
    return names;
  }
};

TEST_F(CreateTest, CreateNeverReplacesAnImage) {
  ASSERT_TRUE(Create("a", MemoryOf(1)).has_value()) << LastError();
  const std::string before = Bytes("a");
  EXPECT_EQ(Create("a", MemoryOf(2)).error(), Code::kExists);
  EXPECT_EQ(Bytes("a"), before);
  EXPECT_EQ(NamesThere().size(), 1u);
}

TEST_F(CreateTest, ImageHasTheRequestedModeWhateverTheUmask) {
  const mode_t before = umask(0777);
  const Result<os::Directory> directory = os::Directory::Open(os::KernelCalls(), path_);
  const Memory memory = MemoryOf(1);
  const bool made =
      ImageFile::Create(*directory, "a", 0640, InfoFor(memory), memory.data()).has_value();
  umask(before);
  ASSERT_TRUE(made) << LastError();
  struct stat status;
  ASSERT_EQ(stat((path_ + "/a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST_F(CreateTest, CreateFailsWithoutLeavingFiles) {
  Memory memory = MemoryOf(2);
  FillSubtree(memory, 1, 1);
  for (const int error : {ENOSPC, EIO, EROFS, os::kShort}) {
    for (int call = 1;; ++call) {  // the first opens the directory
      os::ScriptedCalls calls(os::FailOnce(call, error));
      const Result<ImageFile> image = Create("a", memory, calls);
      SCOPED_TRACE(testing::Message() << "error " << error << " at call " << call);
      if (image) {
        ASSERT_TRUE(*Read("a") == memory);
        std::filesystem::remove(path_ + "/a");
      } else {
        EXPECT_NE(image.error(), Code::kCorrupt) << LastError();
      }
      ASSERT_TRUE(NamesThere().empty()) << NamesThere()[0] << ": " << LastError();
      if (calls.count() <= call) break;
    }
  }
}

TEST_F(CreateTest, CreateWhoseCleanupFailsLeavesOnlyATemporary) {
  const Memory memory = MemoryOf(1);
  for (int call = 1; call < 8; ++call) {
    os::ScriptedCalls calls(os::FailFrom(call, EIO));
    ASSERT_FALSE(Create("a", memory, calls).has_value()) << call;
    for (const std::string& name : NamesThere()) {
      // After the rename the image may be there, whole.
      if (name == "a") {
        EXPECT_TRUE(Read("a").has_value()) << LastError();
        std::filesystem::remove(path_ + "/a");
      } else {
        EXPECT_EQ(name.rfind(os::kTemporaryPrefix, 0), 0u) << name;
      }
    }
    ASSERT_TRUE(os::Directory::Open(os::KernelCalls(), path_)->RemoveTemporaries().ok());
    EXPECT_TRUE(NamesThere().empty());
  }
}

TEST_F(CreateTest, OpenThatFailsChangesNothing) {
  Memory memory = MemoryOf(2);
  FillSubtree(memory, 1, 1);
  {
    Result<ImageFile> image = Create("a", memory);
    ASSERT_TRUE(image.has_value()) << LastError();
    memory[5] = 5;
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok());
  }
  for (const int error : {ENOSPC, EIO, EINTR, os::kShort}) {
    for (int call = 1;; ++call) {
      os::ScriptedCalls calls(os::FailOnce(call, error));
      const Result<ImageFile> image = Open("a", false, calls);
      SCOPED_TRACE(testing::Message() << "error " << error << " at call " << call);
      if (!image) {
        EXPECT_NE(image.error(), Code::kCorrupt) << LastError();
      }
      const Result<Memory> found = Read("a");
      ASSERT_TRUE(found.has_value()) << LastError();
      EXPECT_TRUE(*found == memory);
      if (calls.count() <= call) break;
    }
  }
}

TEST_F(CreateTest, AnImageThatCannotBeMadeDurableOpensReadOnly) {
  ASSERT_TRUE(Create("a", MemoryOf(1)).has_value());
  // One of its superblocks is not there, so that what is found may be in a cache only.
  const std::string bytes = Bytes("a").replace(kSlotOffsets[1], 8, 8, '\0');
  SetBytes("a", bytes);
  os::ScriptedCalls calls;
  const Result<ImageFile> counted = Open("a", false, calls);
  ASSERT_TRUE(counted.has_value());
  SetBytes("a", bytes);
  // The image has no free space to give back, so that the last call is the sync.
  os::ScriptedCalls failing(os::FailOnce(calls.count() - 1, EIO));
  EXPECT_EQ(Open("a", false, failing).error(), Code::kIo);
  EXPECT_TRUE(Says("can only be opened read-only")) << LastError();
  EXPECT_TRUE(Open("a", true, failing).has_value()) << LastError();
}

// What is zero of a leaf is written only where something else may lie.
TEST_F(CreateTest, PagesOfZerosOfANewImageTakeNoSpace) {
  constexpr uint64_t kPages = kSubtreeBytes / kPageBytes;
  const auto with_pages = [](std::vector<uint64_t> pages) {
    Memory memory = MemoryOf(2);
    for (const uint64_t page : pages) memory[page * kPageBytes + page % kPageBytes] = 'x';
    return memory;
  };
  std::vector<uint64_t> every_other;
  std::vector<uint64_t> far_apart;
  for (uint64_t page = 0; page < kPages; page += 2) every_other.push_back(page);
  for (uint64_t page = 3; page < kPages; page += 40) far_apart.push_back(page);
  const struct {
    Memory memory;
    uint64_t bytes_max;
  } cases[] = {
      {with_pages({0}), 64 * kKiB},
      {with_pages({kPages - 1}), 64 * kKiB},
      {with_pages({5, 100, 101, 115, 400, kPages, 2 * kPages - 1}), 192 * kKiB},
      {with_pages(every_other), 3 * kMiB},
      {with_pages(far_apart), 3 * kMiB},
  };
  for (const auto& [memory, bytes_max] : cases) {
    const Result<ImageFile> image = Create("a", memory);
    ASSERT_TRUE(image.has_value()) << LastError();
    EXPECT_LE(*image->file().AllocatedBytes(), bytes_max);
    ASSERT_TRUE(*Read("a") == memory);
    ASSERT_TRUE(image->Verify([](const char* message) { ADD_FAILURE() << message; }).ok());
    std::filesystem::remove(path_ + "/a");
  }
}

// Such a leaf comes to lie where another one was, and reads as it was stored all the same. The file
// system has no holes that would be zero there.
TEST_F(CreateTest, PagesOfZerosAreWrittenWhereOthersWere) {
  Memory memory = MemoryOf(3);
  for (uint64_t subtree = 0; subtree < 3; ++subtree) FillSubtree(memory, subtree, subtree);
  os::ScriptedCalls calls(os::FailEach(os::Call::kAllocate, EOPNOTSUPP));
  Result<ImageFile> image = Create("a", memory, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  const uint64_t full = *image->file().SizeBytes();
  for (uint64_t turn = 0; turn < 12; ++turn) {
    const uint64_t subtree = turn % 3;
    std::memset(memory.data() + subtree * kSubtreeBytes, 0, kSubtreeBytes);
    if (turn % 2 == 0) FillSubtree(memory, subtree, turn);
    memory[subtree * kSubtreeBytes + turn * kPageBytes] = 'x';
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
    ASSERT_TRUE(*Read("a") == memory) << "turn " << turn;
  }
  EXPECT_LT(*image->file().SizeBytes(), 3 * full);
}

}  // namespace
}  // namespace morsel::image
