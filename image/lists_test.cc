// Checkpoints whose pages are listed and settled: what they write, and where they lie then.
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

using ListsTest = StoreTest;

// Pages change at random and are held against a plain copy. First the changes are found by
// comparing, then dirty pages are given.
TEST_F(ListsTest, LeavesHoldWhatWasStored) {
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
// leaves stay where they are, and the file has what it holds and a few checkpoints.
// ExtentsOnlyIn() finds each part of the file that two generations do not share.
TEST_F(ListsTest, CheckpointsCostTheSameHoweverManyThereWere) {
  constexpr uint64_t kSubtrees = 8;
  constexpr int kCheckpoints = kSlowBuild ? 80 : 120;
  for (const uint64_t pages : {40, 250}) {
    std::filesystem::remove(path_ + "/a");
    Memory memory = MemoryOf(kSubtrees);
    for (uint64_t i = 0; i < kSubtrees; ++i) FillSubtree(memory, i, i);
    os::ScriptedCalls calls;
    ASSERT_TRUE(Create("a", memory).has_value()) << LastError();
    Result<ImageFile> image = Open("a", false, calls);
    std::mt19937_64 random(11);
    Tree last = TreeOf("a");
    const Tree first = last;
    uint64_t at_rest = 0;
    calls.CountAnew();
    for (int checkpoint = 0; checkpoint < kCheckpoints; ++checkpoint) {
      const os::PageSet dirty = ChangePages(memory, random, pages);
      ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok()) << LastError();
      Tree tree = TreeOf("a");
      const std::vector<FileExtent> before = last.Extents();
      const std::vector<FileExtent> after = tree.Extents();
      std::vector<FileExtent> gone;
      std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                          std::back_inserter(gone));
      // What is settled at once may lie where something else of the last one lay.
      const std::vector<FileExtent> only = ExtentsOnlyIn(last, tree);
      EXPECT_TRUE(std::includes(only.begin(), only.end(), gone.begin(), gone.end())) << checkpoint;
      EXPECT_LE(tree.listed.size(), 256U);
      EXPECT_LE(tree.lists.size(), 2U) << "two copies of one";
      at_rest += tree.listed.empty() ? 0 : 1;
      last = std::move(tree);
      if (checkpoint == 50) image = Open("a", false, calls);
      if (checkpoint % 40 != 39) continue;
      ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory)) << checkpoint;
      // Once elsewhere and once in its place; sums of all leaves, and what leads there.
      EXPECT_LE(calls.size_bytes(os::Call::kWrite) / 40,
                2 * pages * kPageBytes + kSubtrees * kPageSumsBytes + 24 * kBlockBytes);
      EXPECT_LE(AllocatedBytes("a"), memory.size() + 4 * pages * kPageBytes + 4 * kMiB);
      calls.CountAnew();
    }
    EXPECT_GT(at_rest, 0U);
    for (uint64_t i = 0; i < kSubtrees; ++i) {
      EXPECT_EQ(last.leaf(SubtreePosition(i)).offset, first.leaf(SubtreePosition(i)).offset);
    }
  }
}

// What is as it was before is listed all the same: nobody looks at what is in its place.
TEST_F(ListsTest, PagesThatGoTheirWayBackAreWhatWasStored) {
  Memory memory;
  CreateTwo(memory);
  Result<ImageFile> image = Open("a");
  const Memory before = memory;
  for (uint64_t page = 0; page < 3; ++page) {
    memory[2 * kSubtreeBytes + page * kPageBytes] ^= 1;
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
  }
  EXPECT_EQ(TreeOf("a").listed.size(), 3u);
  ASSERT_TRUE(image->Store(before.data(), before.size(), 0).ok()) << LastError();
  ExpectHolds("a", before);
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
  ExpectHolds("a", memory);
  image = Open("a");
  ASSERT_TRUE(image->Store(memory.data(), 2 * kSubtreeBytes, 0).ok()) << LastError();
  EXPECT_TRUE(TreeOf("a").listed.empty()) << "they went with their leaf";
  EXPECT_TRUE(TreeOf("a").lists.empty());
  // The subtree comes again, and has none of them.
  memory.resize(2 * kSubtreeBytes);
  memory.resize(3 * kSubtreeBytes, '\0');
  memory[2 * kSubtreeBytes + 9 * kPageBytes] = 1;
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
  ExpectHolds("a", memory);
}

// Both copies of a list lead to the same pages.
TEST_F(ListsTest, OneCopyOfAListIsEnough) {
  Memory memory;
  CreateTwo(memory);
  Result<ImageFile> image = Open("a");
  memory[5] ^= 1;
  memory[2 * kSubtreeBytes] ^= 1;
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
  const std::vector<PatchList> lists = TreeOf("a").lists;
  ASSERT_EQ(lists.size(), 2U);
  EXPECT_NE(lists[0].offset / kApartBytes, lists[1].offset / kApartBytes);
  const std::string whole = Bytes("a");
  for (const PatchList& list : lists) {
    for (uint64_t at = 0; at < 2 * sizeof(Patch); ++at) {
      std::string bytes = whole;
      bytes[list.offset + at] ^= 1;
      SetBytes("b", bytes);
      const Result<ImageFile> found = Open("b", true);
      ASSERT_TRUE(found.has_value()) << LastError();
      ASSERT_EQ(found->FindDoubts().size(), 1U);
      ASSERT_EQ(found->unsettled().size(), 2U);
    }
    ExpectHolds("b", memory);
  }
  std::string bytes = whole;
  for (const PatchList& list : lists) bytes[list.offset + 3] ^= 1;
  SetBytes("b", bytes);
  EXPECT_EQ(Read("b").error(), Code::kCorrupt);
  EXPECT_TRUE(Says("list of replaced pages")) << LastError();
}

TEST_F(ListsTest, AStoreDuringTheCheckpointDamagesNoListedPage) {
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
    for (size_t at = 0; at < memory.size(); at += kPageBytes / 2) ++memory[at];
    return 0;
  });
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok()) << LastError();
  const Result<Memory> found = Read("a");
  EXPECT_TRUE(found.has_value()) << LastError();
}

// Each call fails once. What is in flight then is waited for before its space is given back.
TEST_F(ListsTest, FailedCheckpointLeavesNoneOfItsPages) {
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
  EXPECT_GE(failed, 5u) << "two batches of pages, lists, a leaf and tables";
}

// [IMG-7] Without the sums nobody can tell which pages have changed, so that all of the leaf is
// written. Its bytes are good: the image loads, and verifying it names the leaf.
TEST_F(ListsTest, LeafWithDamagedSumsIsWrittenAgain) {
  for (const bool is_changed : {true, false}) {
    std::filesystem::remove(path_ + "/a");
    Memory memory;
    CreateTwo(memory);
    std::string bytes = Bytes("a");
    const Entry leaf = TreeOf("a").leaf(SubtreePosition(2));
    bytes[SumsExtentOf(leaf).end() - 1] ^= 1;
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

}  // namespace
}  // namespace morsel::image
