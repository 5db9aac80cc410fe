// Power is lost at every write. The image then is the last or the next checkpoint, byte for byte.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>

#include "base/bits.h"
#include "image/format/superblock.h"
#include "image/format/tree_reader.h"
#include "image/image_testing.h"
#include "os/testing/seed_testing.h"
#include "sim/disk/recording_testing.h"

namespace morsel::image {
namespace {

using sim::RecordingCalls;

constexpr uint64_t kSubtreesMax = 4;
constexpr uint64_t kImages = kSlowBuild ? 8 : 64;
constexpr int kImagesLeast = kSlowBuild ? 2 : 6;  ///< at each point, as a mean
constexpr int kCheckpoints = kSlowBuild ? 2 : 8;

class CrashTest : public ImageTest {
 protected:
  void SetUp() override {
    ImageTest::SetUp();
    random_.seed(TestSeed(1));
  }

  // Changes memory as a program does between two checkpoints.
  void Mutate(Memory& memory) {
    const uint64_t subtrees =
        random_() % 4 == 0 ? 1 + random_() % kSubtreesMax : memory.size() / kSubtreeBytes;
    memory.resize(subtrees * kSubtreeBytes, '\0');
    for (uint64_t subtree = 0; subtree < subtrees; ++subtree) {
      const uint64_t fate = random_() % 6;
      if (fate == 0) FillSubtree(memory, subtree, random_());
      if (fate == 1) std::memset(memory.data() + subtree * kSubtreeBytes, 0, kSubtreeBytes);
      if (fate == 2) memory[subtree * kSubtreeBytes + random_() % kSubtreeBytes] ^= 1;
    }
  }

  // The image that is left when power is lost holds one of two states.
  void ExpectOneOf(const std::string& bytes, const Memory& last, const Memory* next) {
    SetBytes("crashed", bytes);
    const Result<Memory> memory = Read("crashed");
    ASSERT_TRUE(memory.has_value()) << LastError();
    ASSERT_TRUE(*memory == last || (next != nullptr && *memory == *next));
    ++crashes_;
  }

  // Tries what a power cut may leave now: all of it, if there is little.
  void ExpectEveryCrash(const RecordingCalls& calls, const Memory& last, const Memory* next) {
    calls.ForEachImage(kImages, random_, [&](const std::string& bytes) {
      if (!HasFatalFailure()) ExpectOneOf(bytes, last, next);
    });
  }

  // Stores `next` over `last`, and looks at what is left if power is lost anywhere.
  void StoreAndCrash(ImageFile& image, RecordingCalls& calls, const Memory& last,
                     const Memory& next) {
    int syncs = 0;
    calls.before_sync = [&] {
      // Before the first sync there is no superblock that leads to the next state.
      ExpectEveryCrash(calls, last, syncs == 0 ? nullptr : &next);
      ++syncs;
    };
    ASSERT_TRUE(image.Store(next.data(), next.size(), 0).ok()) << LastError();
    calls.before_sync = nullptr;
    ASSERT_EQ(syncs, next == last ? 0 : 3);
    // What is pending now does nothing but give space back.
    ExpectEveryCrash(calls, next, nullptr);
  }

  std::mt19937_64 random_;
  int crashes_ = 0;
};

TEST_F(CrashTest, EveryCrashIsTheLastOrTheNextCheckpoint) {
  Memory last = MemoryOf(3);
  FillSubtree(last, 1, 1);
  ASSERT_TRUE(Create("a", last).has_value()) << LastError();
  RecordingCalls calls(Bytes("a"));
  Result<ImageFile> image = Open("a", false, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  for (int checkpoint = 0; checkpoint < kCheckpoints; ++checkpoint) {
    Memory next = last;
    Mutate(next);
    ASSERT_NO_FATAL_FAILURE(StoreAndCrash(*image, calls, last, next)) << checkpoint;
    last = next;
    if (HasFailure()) return;
  }
  std::printf("%d crashes\n", crashes_);
  EXPECT_GT(crashes_, kCheckpoints * 3 * kImagesLeast);
}

TEST_F(CrashTest, ImageCanBeWrittenAfterACrash) {
  Memory last = MemoryOf(3);
  FillSubtree(last, 1, 1);
  ASSERT_TRUE(Create("a", last).has_value()) << LastError();
  for (int crash = 0; crash < kCheckpoints; ++crash) {
    Memory next = last;
    Mutate(next);
    RecordingCalls calls(Bytes("a"));
    std::vector<std::string> crashed;
    {
      Result<ImageFile> image = Open("a", false, calls);
      ASSERT_TRUE(image.has_value()) << LastError();
      const auto crash = [&] {
        calls.ForEachImage(kImages, random_,
                           [&](const std::string& bytes) { crashed.push_back(bytes); });
      };
      calls.before_sync = crash;
      ASSERT_TRUE(image->Store(next.data(), next.size(), 0).ok()) << LastError();
      crash();
    }
    SetBytes("a", crashed[random_() % crashed.size()]);

    // Power is lost during the recovery, too, and during the next checkpoint.
    const Result<Memory> found = Read("a");
    ASSERT_TRUE(found.has_value()) << LastError();
    ASSERT_TRUE(*found == last || *found == next);
    RecordingCalls again(Bytes("a"));
    again.before_sync = [&] { ExpectEveryCrash(again, *found, nullptr); };
    Result<ImageFile> image = Open("a", false, again);
    ASSERT_TRUE(image.has_value()) << LastError();
    last = *found;
    Mutate(last);
    ASSERT_NO_FATAL_FAILURE(StoreAndCrash(*image, again, *found, last));
    if (HasFailure()) return;
  }
}

// [IMG-1] Each change is held against what the superblocks on the medium lead to at that time.
TEST_F(CrashTest, NothingThatASuperblockLeadsToIsTouched) {
  Memory memory = MemoryOf(3);
  FillSubtree(memory, 1, 1);
  ASSERT_TRUE(Create("a", memory).has_value()) << LastError();
  RecordingCalls calls(Bytes("a"));
  std::vector<FileExtent> reachable;
  const auto look = [&] {
    SetBytes("medium", calls.durable());
    const Result<os::File> file =
        os::File::Open(os::KernelCalls(), AT_FDCWD, path_ + "/medium", O_RDONLY, 0, "medium");
    const Result<ImageSuperblocks> superblocks = ReadSuperblocks(*file);
    ASSERT_TRUE(superblocks.has_value()) << LastError();
    reachable = ReadTree(*file, superblocks->current)->Extents();
    if (!superblocks->other) return;
    const Result<Tree> older = ReadTree(*file, *superblocks->other);
    ASSERT_TRUE(older.has_value()) << LastError();
    const std::vector<FileExtent> more = older->Extents();
    reachable.insert(reachable.end(), more.begin(), more.end());
  };
  calls.before_change = [&](uint64_t offset, uint64_t size_bytes) {
    look();
    for (const FileExtent& extent : reachable) {
      EXPECT_FALSE(offset < extent.end() && extent.offset < offset + size_bytes)
          << "changing " << size_bytes << " bytes at offset " << offset << " meets "
          << extent.size_bytes << " bytes at offset " << extent.offset;
    }
  };
  Result<ImageFile> image = Open("a", false, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  for (int checkpoint = 0; checkpoint < 4 * kCheckpoints; ++checkpoint) {
    if (checkpoint % 7 == 6) {
      image = Open("a", false, calls);
      ASSERT_TRUE(image.has_value()) << LastError();
    }
    Mutate(memory);
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
    if (HasFailure()) return;
  }
}

// After a sync that failed, the newest superblock is in the cache and not on the medium.
TEST_F(CrashTest, OpeningMakesTheSuperblockDurableFirst) {
  Memory one = MemoryOf(3);
  for (uint64_t subtree = 0; subtree < 3; ++subtree) FillSubtree(one, subtree, subtree);
  ASSERT_TRUE(Create("a", one).has_value()) << LastError();
  RecordingCalls calls(Bytes("a"));
  Memory two = one;
  Memory three = one;
  Memory four = one;
  for (uint64_t subtree = 0; subtree < 3; ++subtree) {
    FillSubtree(two, subtree, 20 + subtree);
    FillSubtree(three, subtree, 30 + subtree);
    FillSubtree(four, subtree, 40 + subtree);
  }
  {
    Result<ImageFile> image = Open("a", false, calls);
    ASSERT_TRUE(image.has_value()) << LastError();
    ASSERT_TRUE(image->Store(two.data(), two.size(), 0).ok());
    calls.syncs_until_failure = 1;
    EXPECT_EQ(image->Store(three.data(), three.size(), 0).code(), Code::kIo);
    EXPECT_EQ(image->Store(three.data(), three.size(), 0).code(), Code::kIo);
    EXPECT_TRUE(Says("discard")) << LastError();
  }
  EXPECT_TRUE(*Read("a") == three);  // which is in the cache
  calls.before_sync = [&] { ExpectEveryCrash(calls, two, &three); };
  Result<ImageFile> image = Open("a", false, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  ASSERT_NO_FATAL_FAILURE(StoreAndCrash(*image, calls, three, four));
}

}  // namespace
}  // namespace morsel::image
