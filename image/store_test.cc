// What a checkpoint writes, and what it leaves when it fails.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <filesystem>
#include <utility>

#include "base/bits.h"
#include "image/store_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::image {
namespace {

bool IsSlot(uint64_t offset) { return offset == kSlotOffsets[0] || offset == kSlotOffsets[1]; }

/// Of files up to 16 MiB: so much that is free may take room in the file system.
constexpr uint64_t kKept = 2 * SpareRoom::kKeptMin;

TEST_F(StoreTest, LoadReturnsWhatWasStored) {
  Memory memory = MemoryOf(5);
  FillSubtree(memory, 1, 1);
  memory[4 * kSubtreeBytes + 17] = 1;
  {
    Result<ImageFile> image = Create("a", memory);
    ASSERT_TRUE(image.has_value()) << LastError();
    EXPECT_EQ(image->info().generation, 1u);
    memory.resize(9 * kSubtreeBytes, '\0');
    FillSubtree(memory, 8, 2);
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 77).ok()) << LastError();
  }
  ExpectHolds("a", memory);
  Result<ImageFile> image = Open("a");
  ASSERT_TRUE(image.has_value()) << LastError();
  EXPECT_EQ(image->info().live_bytes, 77u);
  EXPECT_EQ(image->info().generation, 2u);
  memory.resize(2 * kSubtreeBytes);
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
  ExpectHolds("a", memory);
}

TEST_F(StoreTest, EmptyOrZeroMorselTakesTwoSuperblocks) {
  ASSERT_TRUE(Create("none", MemoryOf(0)).has_value()) << LastError();
  ASSERT_TRUE(Create("zeros", MemoryOf(4)).has_value()) << LastError();
  EXPECT_EQ(Bytes("none").size(), kFileBytesMin);
  EXPECT_EQ(Bytes("zeros").size(), kFileBytesMin);
  EXPECT_LE(AllocatedBytes("none"), 2 * kSuperblockBytes);
  ExpectHolds("none", MemoryOf(0));
  ExpectHolds("zeros", MemoryOf(4));
}

#ifndef __SANITIZE_THREAD__  // ThreadSanitizer spends half a minute on each gibibyte
TEST_F(StoreTest, SubtreesBehindTheFirstGibibyteAreStored) {
  Memory memory = MemoryOf(kSubtreesPerGiant + 2);
  FillSubtree(memory, kSubtreesPerGiant - 1, 1);
  FillSubtree(memory, kSubtreesPerGiant + 1, 2);
  Result<os::Directory> directory = os::Directory::Open(os::KernelCalls(), path_);
  ASSERT_TRUE(ImageFile::Create(*directory, "a", 0600, InfoFor(memory), memory.data()).has_value());
  ExpectHolds("a", memory);
  // What is zero costs nothing. There are two leaves; their sums, two tables of up to 32 KiB and
  // the root, each twice, lie before them.
  EXPECT_LE(Bytes("a").size(), 3 * kSubtreeBytes);
  EXPECT_LE(AllocatedBytes("a"), 2 * (kSubtreeBytes + kPageSumsBytes + kSuperblockBytes) +
                                     2 * (2 * 32 * kKiB + 4 * kKiB));
}
#endif

TEST_F(StoreTest, StoreWritesOnlyWhatHasChanged) {
  Memory memory;
  CreateTwo(memory);
  os::ScriptedCalls calls;
  Result<ImageFile> image = Open("a", false, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  calls.CountAnew();
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok());
  EXPECT_EQ(calls.count(), 3) << "a superblock and the sums of two leaves are read only";
  EXPECT_EQ(calls.size_bytes(os::Call::kWrite), 0u);
  calls.CountAnew();
  memory[2 * kSubtreeBytes] ^= 1;
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok());
  // One page, its list, twice, and both superblocks are written.
  EXPECT_EQ(calls.size_bytes(os::Call::kWrite),
            kPageBytes + 2 * kBlockBytes + 2 * kSuperblockBytes);
  calls.CountAnew();
  memory[2 * kSubtreeBytes] ^= 1;
  os::PageSet dirty;
  dirty.Add(2 * kSubtreeBytes, kPageBytes);
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok());
  EXPECT_EQ(calls.count(os::Call::kWrite), 5u) << "none of them by a ring";
  EXPECT_EQ(calls.count(os::Call::kDataSync), 3u);
  EXPECT_EQ(calls.count(os::Call::kOpen), 0u);
  ExpectHolds("a", memory);
}

TEST_F(StoreTest, TheFileStaysWithinItsLastTwoGenerations) {
  Memory memory;
  CreateTwo(memory);
  Result<ImageFile> image = Open("a");
  ASSERT_TRUE(image.has_value()) << LastError();
  for (uint64_t i = 0; i < 40; ++i) {
    FillSubtree(memory, i % 3, 100 + i);
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
    // The two generations have three leaves each. Then there is what this checkpoint has written.
    EXPECT_LE(AllocatedBytes("a"), 7 * (kSubtreeBytes + kPageSumsBytes) + 16 * kBlockBytes + kKept);
  }
  // It gets shorter little by little, as there is something to store.
  for (uint64_t live = 1; live < 8; ++live) {
    const uint64_t before = AllocatedBytes("a");
    ASSERT_TRUE(image->Store(memory.data(), kSubtreeBytes, live).ok());
    EXPECT_LE(before - AllocatedBytes("a"), SpareRoom::kReturnedMin);
  }
  EXPECT_LE(AllocatedBytes("a"), kSubtreeBytes + kPageSumsBytes + 8 * kBlockBytes + kKept);
}

// What is free and not in holes is given back, whoever left it there, but an open waits for none.
TEST_F(StoreTest, OpeningGivesNothingBackButKnowsWhatIsFree) {
  Memory memory = MemoryOf(6);
  for (uint64_t i = 0; i < 6; ++i) FillSubtree(memory, i, i);
  ASSERT_TRUE(Create("a", memory).has_value()) << LastError();
  std::fill_n(memory.begin(), 5 * kSubtreeBytes, '\0');
  for (uint64_t live = 1; live < 3; ++live) {
    Result<ImageFile> image = Open("a");
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), live).ok()) << LastError();
  }
  const uint64_t before = AllocatedBytes("a");
  EXPECT_GT(before, 3 * kSubtreeBytes);
  os::ScriptedCalls calls;
  Result<ImageFile> image = Open("a", false, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  EXPECT_LE(calls.size_bytes(os::Call::kAllocate), kBlockBytes);  // it waits for a dead writer
  EXPECT_EQ(AllocatedBytes("a"), before);
  for (uint64_t live = 3; live < 7; ++live) {
    ASSERT_TRUE(image->Store(memory.data(), memory.size(), live).ok()) << LastError();
  }
  EXPECT_LE(AllocatedBytes("a"), 2 * kSubtreeBytes + kKept);
  ExpectHolds("a", memory);
}

// Large memory that ends the process if a page is read that was never touched.
class SparseMemory final : public os::PageFilter {
 public:
  explicit SparseMemory(uint64_t size_bytes)
      : size_bytes_(size_bytes),
        bytes_(static_cast<char*>(mmap(nullptr, size_bytes, PROT_NONE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    EXPECT_NE(bytes_, MAP_FAILED);
  }
  ~SparseMemory() override { munmap(bytes_, size_bytes_); }
  char* bytes() const { return bytes_; }
  uint64_t size_bytes() const { return size_bytes_; }
  void Put(uint64_t page, char value) {
    char* const at = bytes_ + page * kPageBytes;
    ASSERT_EQ(mprotect(at, kPageBytes, PROT_READ | PROT_WRITE), 0);
    touched_.Add(page * kPageBytes, kPageBytes);
    std::memset(at, value, kPageBytes);
  }
  os::PageSet::Pages Of(SubtreePosition position) const override {
    ++asked_;
    const os::PageSet::Pages* const pages = touched_.Of(position);
    return pages != nullptr ? *pages : os::PageSet::Pages();
  }
  SubtreePosition Next(SubtreePosition from, SubtreePosition end) const override {
    ++asked_;
    const auto found = touched_.subtrees().lower_bound(from);
    return found == touched_.subtrees().end() ? end : std::min(found->first, end);
  }
  /// Returns how often the filter was asked since the last call.
  uint64_t TakeAsked() { return std::exchange(asked_, 0); }

 private:
  mutable uint64_t asked_ = 0;
  uint64_t size_bytes_;
  char* bytes_;
  os::PageSet touched_;
};

// The memory is stored whole, then compared, then stored by dirty pages. A page that is said to be
// dirty and was never touched is zero, too.
TEST_F(StoreTest, PagesThatWereNeverTouchedAreNotRead) {
  SparseMemory memory(64 * kGiB);
  const std::vector<uint64_t> pages = {3, 700, 511 * kPagesPerLeaf, 40000 * kPagesPerLeaf / 2};
  for (const uint64_t page : pages) memory.Put(page, 1);
  memory.Put(kPagesPerLeaf * 9, 0);
  ImageInfo info = InfoFor(MemoryOf(0));
  info.size_bytes = info.capacity_bytes = memory.size_bytes();
  os::ScriptedCalls calls;
  Result<os::Directory> directory = os::Directory::Open(calls, path_);
  Result<ImageFile> image = ImageFile::Create(*directory, "a", 0600, info, memory.bytes(), &memory);
  ASSERT_TRUE(image.has_value()) << LastError();
  EXPECT_LE(memory.TakeAsked(), 2 * (pages.size() + 2));
  constexpr uint64_t kLeafBytes = kSubtreeBytes + kPageSumsBytes;
  EXPECT_EQ(image->LoadedBytes(), pages.size() * kSubtreeBytes);
  EXPECT_LE(calls.size_bytes(os::Call::kWrite), pages.size() * kLeafBytes + 3 * 64 * kKiB);
  const uint64_t before = calls.size_bytes(os::Call::kWrite);
  memory.Put(701, 2);
  ASSERT_TRUE(image->Store(memory.bytes(), memory.size_bytes(), 0, nullptr, &memory).ok());
  os::PageSet dirty;
  dirty.Add(700 * kPageBytes, 4 * kPageBytes);
  dirty.Add(5 * kSubtreeBytes, kSubtreeBytes);
  memory.Put(702, 3);
  ASSERT_TRUE(image->Store(memory.bytes(), memory.size_bytes(), 0, &dirty, &memory).ok());
  EXPECT_LE(calls.size_bytes(os::Call::kWrite) - before, 2 * 80 * kKiB);
  // Loading fills those leaves and no more.
  char* const loaded = static_cast<char*>(mmap(nullptr, memory.size_bytes(), PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  ASSERT_NE(loaded, MAP_FAILED);
  ASSERT_TRUE(image->Load(loaded).ok()) << LastError();
  for (const uint64_t page : pages) EXPECT_EQ(loaded[page * kPageBytes], 1);
  EXPECT_EQ(loaded[701 * kPageBytes], 2);
  EXPECT_EQ(loaded[702 * kPageBytes], 3);
  EXPECT_EQ(loaded[703 * kPageBytes], 0);
  munmap(loaded, memory.size_bytes());
}

TEST_F(StoreTest, AStoreDuringTheCheckpointDamagesNothing) {
  Memory memory = MemoryOf(2);
  FillSubtree(memory, 0, 1);
  FillSubtree(memory, 1, 2);
  uint64_t writes = 0;
  os::ScriptedCalls calls([&](const os::Call& call) {
    if (call.kind != os::Call::kWrite) return 0;
    ++writes;
    memory[writes] = static_cast<char>(memory[writes] + 1);
    memory[kSubtreeBytes + writes] = static_cast<char>(memory[kSubtreeBytes + writes] + 1);
    return 0;
  });
  ASSERT_TRUE(Create("a", memory, calls).has_value()) << LastError();
  const Result<Memory> found = Read("a");
  EXPECT_TRUE(found.has_value()) << LastError();
}

// A checkpoint of the image "a" fails at each of its calls in turn.
class StoreFaultTest : public StoreTest, public testing::WithParamInterface<int> {
 protected:
  void CheckSound(ImageFile& image, bool stored, const Memory& last, const Memory& next) {
    const Result<Memory> found = Read("a");
    ASSERT_TRUE(found.has_value()) << LastError();
    EXPECT_TRUE(stored ? *found == next : (*found == last || *found == next));
    // When calls succeed again, the image can be stored, or says that it cannot.
    const Status again = image.Store(next.data(), next.size(), 0);
    if (again.ok()) {
      ExpectHolds("a", next);
    } else {
      EXPECT_EQ(again.code(), Code::kIo);
      EXPECT_TRUE(Says("earlier sync failed")) << LastError();
    }
    Result<ImageFile> reopened = Open("a");
    ASSERT_TRUE(reopened.has_value()) << LastError();
    for (uint64_t i = 0; i < 3; ++i) {
      Memory more = next;
      FillSubtree(more, i, 70 + i);
      ASSERT_TRUE(reopened->Store(more.data(), more.size(), 0).ok()) << LastError();
      ExpectHolds("a", more);
    }
  }
};

TEST_P(StoreFaultTest, FailedStoreLeavesTheLastGenerationOrTheNext) {
  for (const bool lasting : {false, true}) {
    if (lasting && GetParam() == EINTR) continue;  // the call would be tried again for ever
    for (int call = 0;; call += kSlowBuild ? 3 : 1) {
      std::filesystem::remove(path_ + "/a");
      Memory last;
      ASSERT_NO_FATAL_FAILURE(CreateTwo(last));
      os::ScriptedCalls calls;
      Result<ImageFile> image = Open("a", false, calls);
      ASSERT_TRUE(image.has_value()) << LastError();
      Memory next = last;
      FillSubtree(next, 1, 50);
      FillSubtree(next, 2, 51);
      calls.Play(lasting ? os::FailFrom(call, GetParam()) : os::FailOnce(call, GetParam()));
      const uint64_t before = AllocatedBytes("a");
      const bool stored = image->Store(next.data(), next.size(), 0).ok();
      const bool was_last_call = calls.count() <= call;
      const bool is_transient = GetParam() == EINTR || GetParam() == os::kShort;
      calls.Heal();
      SCOPED_TRACE(testing::Message() << "call " << call << (lasting ? " and on" : ""));
      if (!stored && !lasting && GetParam() == ENOSPC && call < 4) {
        EXPECT_TRUE(Says("make room")) << LastError();
        EXPECT_LE(AllocatedBytes("a"), before + kKept) << "a failed checkpoint keeps room";
      }
      EXPECT_TRUE(stored || !is_transient || call >= 4) << LastError();
      ASSERT_NO_FATAL_FAILURE(CheckSound(*image, stored, last, next));
      if (was_last_call) break;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Errors, StoreFaultTest, testing::Values(ENOSPC, EIO, os::kShort));
INSTANTIATE_TEST_SUITE_P(Interrupted, StoreFaultTest, testing::Values(EINTR));

// This may happen with delayed allocation, quotas and network file systems.
TEST_F(StoreTest, SyncThatFindsNoSpaceDoesNotInviteToTryAgain) {
  Memory memory;
  CreateTwo(memory);
  os::ScriptedCalls calls;
  Result<ImageFile> image = Open("a", false, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  Memory next = memory;
  FillSubtree(next, 1, 50);
  calls.Play(os::FailEach(os::Call::kDataSync, ENOSPC));
  EXPECT_EQ(image->Store(next.data(), next.size(), 0).code(), Code::kIo);
  EXPECT_TRUE(Says("No space left on device")) << LastError();
  EXPECT_TRUE(Says("discard the morsel and open it again")) << LastError();
  EXPECT_FALSE(Says("try again")) << LastError();
  ExpectHolds("a", memory);
  // Here there is no image yet that could be opened again, so trying again is right.
  calls.Play(os::FailEach(os::Call::kSync, ENOSPC));
  EXPECT_EQ(Create("b", memory, calls).status().code(), Code::kNoSpace);
  EXPECT_TRUE(Says("make room there, and try again")) << LastError();
}

// Also where the memory is again as it was: the medium is perhaps not.
class FailedSuperblockTest : public StoreTest, public testing::WithParamInterface<bool> {};

TEST_P(FailedSuperblockTest, NothingIsWrittenWhereItMayLead) {
  Memory last;
  CreateTwo(last);
  os::ScriptedCalls calls;
  Result<ImageFile> image = Open("a", false, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  Memory first = last;
  FillSubtree(first, 1, 50);
  // The superblock is written, and the call says that it could not be.
  calls.Play([](const os::Call& call) {
    if (call.kind != os::Call::kWrite || !IsSlot(call.offset)) return 0;
    os::KernelCalls().PWrite(call.file, call.bytes, call.size_bytes,
                             static_cast<int64_t>(call.offset));
    return EIO;
  });
  ASSERT_EQ(image->Store(first.data(), first.size(), 0).code(), Code::kIo);
  int syncs = 0;
  calls.Play([&](const os::Call& call) {
    if (call.kind != os::Call::kDataSync) return 0;
    if (syncs++ == 0) ExpectHolds("a", first);  // this is what a crash here would leave
    return 0;
  });
  Memory second = last;
  if (GetParam()) FillSubtree(second, 1, 51);
  ASSERT_TRUE(image->Store(second.data(), second.size(), 0).ok()) << LastError();
  EXPECT_EQ(syncs, 3);
  ExpectHolds("a", second);
  // And the room is not lost.
  for (uint64_t i = 0; i < 3; ++i) {
    FillSubtree(second, 1, 60 + i);
    ASSERT_TRUE(image->Store(second.data(), second.size(), 0).ok()) << LastError();
  }
  EXPECT_LE(AllocatedBytes("a"), 4 * (kSubtreeBytes + kPageSumsBytes) + 16 * kBlockBytes + kKept);
}

// Nothing but the superblock was to be written, and it is written though the call fails.
TEST_F(StoreTest, WhatAFailedSuperblockSaysDoesNotStandForGood) {
  Memory memory;
  CreateTwo(memory);
  os::ScriptedCalls calls;
  Result<ImageFile> image = Open("a", false, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  calls.Play([](const os::Call& call) {
    if (call.kind != os::Call::kWrite) return 0;
    os::KernelCalls().PWrite(call.file, call.bytes, call.size_bytes,
                             static_cast<int64_t>(call.offset));
    return EIO;
  });
  ASSERT_EQ(image->Store(memory.data(), memory.size(), 7).code(), Code::kIo);
  calls.Heal();
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
  EXPECT_EQ(Open("a", true)->info().live_bytes, 0u);
}

INSTANTIATE_TEST_SUITE_P(Then, FailedSuperblockTest, testing::Bool(), [](const auto& info) {
  return std::string(info.param ? "SomethingElseIsStored" : "WhatWasBeforeIsStored");
});

// The first superblock of a checkpoint is durable, so that it stands. Until the other slot is
// written, what that leads to is not written over.
TEST_F(StoreTest, ASecondSuperblockThatFailsIsMadeUpForByTheNextCheckpoint) {
  Memory last;
  CreateTwo(last);
  os::ScriptedCalls calls;
  Result<ImageFile> image = Open("a", false, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  Memory next = last;
  for (uint64_t round = 0; round < 3; ++round) {
    FillSubtree(next, round, 60 + round);
    int slots = 0;
    calls.Play([&](const os::Call& call) {
      const bool is_slot = call.kind == os::Call::kWrite && IsSlot(call.offset);
      return is_slot && slots++ == 1 ? EIO : 0;
    });
    ASSERT_TRUE(image->Store(next.data(), next.size(), 0).ok()) << LastError();
    EXPECT_EQ(slots, 2);
    calls.Heal();
    ExpectHolds("a", next);
    std::string bytes = Bytes("a");
    bytes[SlotOffset(image->superblock().sequence)] ^= 1;
    SetBytes("older", bytes);
    ExpectHolds("older", last);
    last = next;
  }
  FillSubtree(next, 1, 80);
  ASSERT_TRUE(image->Store(next.data(), next.size(), 0).ok()) << LastError();
  for (const uint64_t slot : kSlotOffsets) {
    std::string bytes = Bytes("a");
    bytes[slot] ^= 1;
    SetBytes("either", bytes);
    ExpectHolds("either", next);
  }
  EXPECT_LE(AllocatedBytes("a"), 7 * (kSubtreeBytes + kPageSumsBytes) + 16 * kBlockBytes + kKept);
}

}  // namespace
}  // namespace morsel::image
