// Checkpoints that replace pages: what they write, when leaves are written whole again, and which
// pages count then.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <random>

#include "image/store/patch_writer.h"
#include "image/store_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::image {
namespace {

using PatchesTest = StoreTest;

// Pages change at random and are held against a plain copy. First the changes are found by
// comparing, then dirty pages are given.
TEST_F(PatchesTest, PatchedLeavesHoldWhatWasStored) {
  for (const bool is_told : {false, true}) {
    std::filesystem::remove(path_ + "/a");
    Memory memory;
    CreateTwo(memory);
    Result<ImageFile> image = Open("a");
    std::mt19937_64 random(7);
    for (int checkpoint = 0; checkpoint < 40; ++checkpoint) {
      const os::PageSet dirty = ChangePages(memory, random, random() % 12);
      ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, is_told ? &dirty : nullptr).ok())
          << LastError();
      if (checkpoint % 10 == 9) {
        ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory)) << checkpoint;
        image = Open("a");
        ASSERT_TRUE(image.has_value()) << LastError();
      }
    }
  }
}

// Pages change at random, again and again. What is written stays in proportion to what has changed,
// and the file to what it holds. ExtentsOnlyIn() finds each part of the file that two generations
// do not share.
TEST_F(PatchesTest, CheckpointsOfFewPagesStayCheap) {
  Memory memory = MemoryOf(4);
  for (uint64_t i = 0; i < 4; ++i) FillSubtree(memory, i, i);
  os::ScriptedCalls calls;
  ASSERT_TRUE(Create("a", memory).has_value()) << LastError();
  Result<ImageFile> image = Open("a", false, calls);
  std::mt19937_64 random(11);
  constexpr uint64_t kPages = 40;
  constexpr int kCheckpoints = 120;
  const uint64_t pages_bytes = kPages * kPageBytes;
  Tree last = TreeOf("a");
  uint64_t lists = 0;
  calls.CountAnew();
  for (int checkpoint = 0; checkpoint < kCheckpoints; ++checkpoint) {
    const os::PageSet dirty = ChangePages(memory, random, kPages);
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok()) << LastError();
    Tree tree = TreeOf("a");
    const std::vector<FileExtent> before = last.Extents();
    const std::vector<FileExtent> after = tree.Extents();
    std::vector<FileExtent> gone;
    std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                        std::back_inserter(gone));
    EXPECT_EQ(ExtentsOnlyIn(last, tree), gone) << checkpoint;
    EXPECT_LE(tree.patch_count, 4 * kPagesPerLeaf * 5 / 8);
    lists = std::max<uint64_t>(lists, tree.lists.size());
    last = std::move(tree);
    if (checkpoint % 30 == 29) {
      ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory)) << checkpoint;
    }
    if (checkpoint == 50) image = Open("a", false, calls);
  }
  EXPECT_GT(last.patch_count, kPagesPerLeaf / 2);
  EXPECT_GE(lists, 3u);
  EXPECT_LE(lists, 8u);
  EXPECT_LE(calls.size_bytes(os::Call::kWrite) / kCheckpoints, pages_bytes * 3 / 2 + kMiB);
  EXPECT_LE(AllocatedBytes("a"), 2 * memory.size() + 3 * (pages_bytes + kMiB));
}

// Every page is replaced again and again, so that room must be made for new patches. Each
// checkpoint makes a little of it, and the file stays below twice what is live.
TEST_F(PatchesTest, CheckpointsCostTheSameHoweverManyThereWere) {
  constexpr uint64_t kSubtrees = 16;
  constexpr uint64_t kPages = 250;
  constexpr int kCheckpoints = 120;
  Memory memory = MemoryOf(kSubtrees);
  for (uint64_t i = 0; i < kSubtrees; ++i) FillSubtree(memory, i, i);
  os::ScriptedCalls calls;
  Result<ImageFile> image = Create("a", memory, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  std::mt19937_64 random(12);
  const uint64_t bound = kPages * kPageBytes * 3 / 2 + kMiB;
  calls.CountAnew();
  uint64_t compacted = 0;
  for (int checkpoint = 0; checkpoint < kCheckpoints; ++checkpoint) {
    const os::PageSet dirty = ChangePages(memory, random, kPages);
    const uint64_t before = calls.size_bytes(os::Call::kWrite);
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok()) << LastError();
    const uint64_t written = calls.size_bytes(os::Call::kWrite) - before;
    EXPECT_LE(written, bound + 2 * (kSubtreeBytes + kPageSumsBytes)) << checkpoint;
    compacted += written > kSubtreeBytes ? 1 : 0;
    if (checkpoint % 40 == 39) {
      EXPECT_LE(calls.size_bytes(os::Call::kWrite) / 40, bound) << checkpoint;
      EXPECT_LE(AllocatedBytes("a"), 2 * memory.size());
      ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory)) << checkpoint;
      calls.CountAnew();
    }
  }
  EXPECT_GT(compacted, kCheckpoints / 5) << "the image never had to make room";
}

// A list stays while most of it counts. The rest of its pages may have been written over, or lie
// behind the end of the file.
TEST_F(PatchesTest, PagesBehindTheEndOfTheFileMayBeListedIfTheyDoNotCount) {
  Memory memory = MemoryOf(2);
  for (uint64_t i = 0; i < 2; ++i) FillSubtree(memory, i, i + 1);
  ASSERT_TRUE(Create("a", memory).has_value()) << LastError();
  os::ScriptedCalls calls;
  Result<ImageFile> image = Open("a", false, calls);
  uint64_t live = 0;
  const auto store = [&](uint64_t first, uint64_t pages) {
    for (uint64_t i = first; i < first + pages; ++i) memory[kSubtreeBytes + i * kPageBytes] ^= 1;
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), ++live).ok()) << LastError();
  };
  for (int i = 0; i < 3; ++i) store(0, 1);  // leaves room for a list only
  store(100, 20);
  const uint64_t size_bytes = Bytes("a").size();
  std::fill_n(memory.begin(), kSubtreeBytes, '\0');  // makes room two generations later
  for (int i = 0; i < 3; ++i) store(0, 0);
  store(115, 5);
  for (int i = 0; i < 2; ++i) store(0, 0);
  // Where one fails for space, all that is free is given back, also the file's end.
  calls.Play(os::FailEach(os::Call::kWrite, ENOSPC));
  memory[kSubtreeBytes] ^= 1;
  ASSERT_EQ(image->Store(memory.data(), memory.size(), ++live).code(), Code::kNoSpace);
  memory[kSubtreeBytes] ^= 1;
  ASSERT_LT(Bytes("a").size(), size_bytes) << "the file ends elsewhere: the test shows nothing";
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory));
  EXPECT_EQ(TreeOf("a").lists.size(), 2u);
}

// If a leaf is as it was before its pages were replaced, its own bytes count again.
TEST_F(PatchesTest, PagesThatAreAsTheyWereAreNoLongerReplaced) {
  Memory memory;
  CreateTwo(memory);
  Result<ImageFile> image = Open("a");
  const Memory before = memory;
  for (uint64_t page = 0; page < 3; ++page) {
    memory[2 * kSubtreeBytes + page * kPageBytes] ^= 1;
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
  }
  EXPECT_EQ(TreeOf("a").patch_count, 3u);
  ASSERT_TRUE(image->Store(before.data(), before.size(), 0).ok()) << LastError();
  EXPECT_EQ(TreeOf("a").patch_count, 0u);
  ExpectHolds("a", before);
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
  ExpectHolds("a", memory);
  image = Open("a");
  ASSERT_TRUE(image->Store(memory.data(), 2 * kSubtreeBytes, 0).ok()) << LastError();
  EXPECT_EQ(TreeOf("a").patch_count, 0u) << "they went with their leaf";
  memory.resize(2 * kSubtreeBytes);
  ExpectHolds("a", memory);
}

TEST_F(PatchesTest, AStoreDuringTheCheckpointDamagesNoReplacedPage) {
  Memory memory;
  CreateTwo(memory);
  os::ScriptedCalls calls;
  Result<ImageFile> image = Open("a", false, calls);
  os::PageSet dirty;
  for (uint64_t page = 0; page < kPagesPerLeaf; page += 3) {
    dirty.Add(page * kPageBytes, kPageBytes);
    dirty.Add(2 * kSubtreeBytes + page * kPageBytes, kPageBytes);
  }
  calls.Play([&](const os::Call& call) {
    if (call.kind != os::Call::kWrite) return 0;
    for (char& byte : memory) byte = static_cast<char>(byte + 1);
    return 0;
  });
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok()) << LastError();
  const Result<Memory> found = Read("a");
  EXPECT_TRUE(found.has_value()) << LastError();
}

// Each call fails once. What is in flight then is waited for before its space is given back.
TEST_F(PatchesTest, FailedCheckpointLeavesNoneOfItsPages) {
  uint64_t failed = 0;
  for (int call = 0;; ++call) {
    std::filesystem::remove(path_ + "/a");
    Memory last;
    ASSERT_NO_FATAL_FAILURE(CreateTwo(last));
    os::ScriptedCalls calls;
    Result<ImageFile> image = Open("a", false, calls);
    ASSERT_TRUE(image.has_value()) << LastError();
    Memory next = last;
    FillSubtree(next, 1, 50);
    FillSubtree(next, 2, 51);
    os::PageSet dirty;
    dirty.Add(kSubtreeBytes, kSubtreeBytes + 100 * kPageBytes);
    dirty.Add(0, 200 * kPageBytes);
    std::copy_n(next.data() + kSubtreeBytes, 200 * kPageBytes, next.data());
    std::copy_n(last.data() + 2 * kSubtreeBytes + 100 * kPageBytes,
                kSubtreeBytes - 100 * kPageBytes,
                next.data() + 2 * kSubtreeBytes + 100 * kPageBytes);
    const uint64_t before = std::filesystem::file_size(path_ + "/a");
    calls.Play(os::FailOnce(call, ENOSPC));
    const bool stored = image->Store(next.data(), next.size(), 0, &dirty).ok();
    const bool was_last_call = calls.count() <= call;
    calls.Heal();
    SCOPED_TRACE(testing::Message() << "call " << call);
    if (!stored && Says("the last checkpoint stands")) {
      ++failed;
      EXPECT_EQ(std::filesystem::file_size(path_ + "/a"), before);
      ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", last));
      ASSERT_TRUE(image->Store(next.data(), next.size(), 0, &dirty).ok()) << LastError();
      ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", next));
    }
    if (was_last_call) break;
  }
  EXPECT_GE(failed, 5u) << "two batches of pages, a list, a leaf and tables";
}

// [IMG-7] Without the sums nobody can tell which pages have changed, so that all of the leaf is
// written. Its bytes are good: the image loads, and verifying it names the leaf.
TEST_F(PatchesTest, LeafWithDamagedSumsIsWrittenAgain) {
  for (const bool is_changed : {true, false}) {
    std::filesystem::remove(path_ + "/a");
    Memory memory;
    CreateTwo(memory);
    std::string bytes = Bytes("a");
    const Entry leaf = TreeOf("a").leaf(SubtreePosition(2));
    bytes[LeafExtentOf(leaf).end() - 1] ^= 1;
    SetBytes("a", bytes);
    ExpectHolds("a", memory);
    if (is_changed) memory[2 * kSubtreeBytes] ^= 1;
    os::ScriptedCalls calls;
    Result<ImageFile> image = Open("a", false, calls);
    ASSERT_TRUE(image.has_value()) << LastError();
    std::vector<std::string> damaged;
    const auto report = [&](const char* message) { damaged.emplace_back(message); };
    ASSERT_TRUE(image->Verify(report).ok()) << LastError();
    ASSERT_EQ(damaged.size(), 1u);
    EXPECT_NE(damaged[0].find("subtree 2 ("), std::string::npos) << damaged[0];
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
    EXPECT_GT(calls.size_bytes(os::Call::kWrite), kSubtreeBytes);
    ExpectHolds("a", memory);
    damaged.clear();
    ASSERT_TRUE(image->Verify(report).ok()) << LastError();
    EXPECT_TRUE(damaged.empty());
  }
}

// The leaf would have too many patches, so that it is to be written whole. But it is zero.
TEST_F(PatchesTest, LeafWithTooManyReplacedPagesIsDroppedIfItIsZero) {
  Memory memory = MemoryOf(1);
  std::memset(memory.data(), 1, 20 * kPageBytes);
  Result<ImageFile> image = Create("a", memory);
  ASSERT_TRUE(image.has_value()) << LastError();
  os::PageSet dirty;
  dirty.Add(100 * kPageBytes, 190 * kPageBytes);
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok()) << LastError();
  EXPECT_EQ(TreeOf("a").patch_count, 190u);
  std::memset(memory.data(), 0, 20 * kPageBytes);
  dirty.Clear();
  dirty.Add(0, 20 * kPageBytes);
  dirty.Add(300 * kPageBytes, 120 * kPageBytes);
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok()) << LastError();
  ExpectHolds("a", memory);
  EXPECT_FALSE(IsPresent(TreeOf("a").leaf(SubtreePosition(0))));
  EXPECT_EQ(TreeOf("a").patch_count, 0u);
}

// The patches of the part that is cut off go with it. That is room enough, so that no leaf is
// written whole again.
TEST_F(PatchesTest, ShrinkingMakesRoomWithoutWritingLeavesAgain) {
  constexpr uint64_t kStay = 8;
  Memory memory = MemoryOf(2 * kStay);
  for (uint64_t i = 0; i < 2 * kStay; ++i) FillSubtree(memory, i, i);
  os::ScriptedCalls calls;
  Result<ImageFile> image = Create("a", memory, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  for (uint64_t half = 0; half < 2; ++half) {
    os::PageSet dirty;
    for (uint64_t i = kStay; i < 2 * kStay; ++i) {
      dirty.Add((2 * i + half) * kSubtreeBytes / 2, kSubtreeBytes / 2);
    }
    for (uint64_t i = 0; i < kStay; ++i) dirty.Add(i * kSubtreeBytes, half * 60 * kPageBytes);
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok()) << LastError();
  }
  ASSERT_GT(image->tree().patch_count, PatchesMax(image->tree()) / 8 * 7);
  memory.resize(kStay * kSubtreeBytes);
  const os::PageSet dirty;
  calls.CountAnew();
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok()) << LastError();
  EXPECT_LT(calls.size_bytes(os::Call::kWrite), kMiB);
  EXPECT_EQ(image->tree().patch_count, kStay * 60);
  ExpectHolds("a", memory);
}

}  // namespace
}  // namespace morsel::image
