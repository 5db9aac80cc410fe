// Which pages a checkpoint of a snapshot morsel takes to have changed.
#include "morsel/directory/image_backing.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "morsel/directory/directory_pool_testing.h"
#include "os/testing/frames_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEachWay[] = {"scan", "fault", "compare"};

// ThreadSanitizer accounts for every byte of a range that is mapped or copied. Its build tests
// less.
#ifdef __SANITIZE_THREAD__
constexpr bool kSlowBuild = true;
#else
constexpr bool kSlowBuild = false;
#endif

class ImageBackingTest : public DirectoryPoolFixture {
 protected:
  ImageBackingTest() : DirectoryPoolFixture(os::Scratch::OnDisk) {}
  void OpenPool(os::SystemCalls& calls) {
    fs::remove_all(path_);
    DirectoryPoolFixture::OpenPool({.create = true}, calls);
  }
  std::unique_ptr<Backing> Create(uint64_t size_bytes = 4 * kSubtreeBytes) {
    CatalogRecord wanted;
    wanted.name = "a";
    wanted.capacity_bytes = std::max(size_bytes, 16 * kSubtreeBytes);
    wanted.size_bytes = size_bytes;
    return DirectoryPoolFixture::Create(wanted);
  }
  std::unique_ptr<Backing> Reopen() { return OpenMorsel("a"); }
};

// [IBK-1] A checkpoint fails at each of its calls in turn. The next one has everything that was
// stored since the last checkpoint that succeeded.
TEST_F(ImageBackingTest, AFailedCheckpointForgetsNoPage) {
  for (const char* const way : kEachWay) {
    const os::Setting setting("MORSEL_DIRTY", way);
    for (int call = 0;; call += kSlowBuild ? 4 : 1) {
      os::ScriptedCalls calls;
      ASSERT_NO_FATAL_FAILURE(OpenPool(calls));
      std::unique_ptr<Backing> morsel = Create();
      const uint64_t words = 4 * kSubtreeBytes / sizeof(uint64_t);
      std::vector<uint64_t> expected(words);
      const auto store = [&](uint64_t word, uint64_t value) {
        WordsOf(*morsel)[word] = value;
        expected[word] = value;
      };
      expected[0] = morsel->record().base;
      for (uint64_t word = 1; word < words; word += 64) store(word, word);
      ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
      store(700, 1);
      store(words - 1, 2);
      calls.Play(os::FailOnce(call, ENOSPC));
      const bool failed = !morsel->Checkpoint(0).ok();
      const bool was_last = calls.count() <= call;
      calls.Heal();
      store(words / 2, 3);
      // After a failed sync no checkpoint succeeds until the morsel is opened again.
      if (morsel->Checkpoint(0).ok()) {
        morsel.reset();
        morsel = Reopen();
        ASSERT_EQ(std::memcmp(WordsOf(*morsel), expected.data(), words * sizeof(uint64_t)), 0)
            << way << ", call " << call << (failed ? " failed" : "");
      } else {
        EXPECT_NE(std::strstr(LastError(), "earlier sync failed"), nullptr) << LastError();
      }
      morsel.reset();
      pool_.reset();
      if (was_last) break;
    }
  }
}

// After its memory was copied a checkpoint goes on while others change it.
TEST_F(ImageBackingTest, WhatIsGivenBackWhileItIsStoredIsOfTheNextCheckpoint) {
  const os::Setting log("MORSEL_LOG", "always");
  const os::Setting frames("MORSEL_FRAMES", "anonymous");
  for (const char* const way : kEachWay) {
    const os::Setting setting("MORSEL_DIRTY", way);
    for (const bool fails : {false, true}) {
      os::ScriptedCalls calls;
      ASSERT_NO_FATAL_FAILURE(OpenPool(calls));
      std::unique_ptr<Backing> morsel = Create();
      char* const base = reinterpret_cast<char*>(WordsOf(*morsel));
      const uint64_t bytes = morsel->record().size_bytes;
      base[0] = 1;  // the first subtree has a leaf
      std::memset(base + kSubtreeBytes, 1, kSubtreeBytes);
      ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
      base[kPageBytes] = 2;
      // Memory that was not stored to is not looked at: that would make pages.
      std::vector<char> expected(bytes);
      std::memcpy(expected.data(), base, sizeof(uint64_t));
      std::memset(&expected[kSubtreeBytes + 8 * kPageBytes], 1, kSubtreeBytes - 8 * kPageBytes);
      expected[kPageBytes] = 2;
      expected[2 * kPageBytes] = 3;
      bool was_copied = false;
      const Status status = morsel->Checkpoint(0, [&] {
        was_copied = true;
        if (fails) calls.Play(os::FailOnce(0, ENOSPC));
        morsel->frames_of_heap()->GiveBack(base + kSubtreeBytes,
                                           base + kSubtreeBytes + 8 * kPageBytes);
        base[2 * kPageBytes] = 3;
      });
      calls.Heal();
      // Where the kernel tells of no single pages, all of it goes into the tree, in one piece.
      EXPECT_EQ(was_copied, std::strcmp(way, "compare") != 0) << way;
      if (!was_copied) continue;
      EXPECT_EQ(status.ok(), !fails) << way;
      ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
      morsel.reset();
      morsel = Reopen();
      EXPECT_EQ(std::memcmp(WordsOf(*morsel), expected.data(), bytes), 0) << way << ' ' << fails;
      morsel.reset();
      pool_.reset();
    }
  }
}

TEST_F(ImageBackingTest, WhatWasGivenBackIsZeroInTheNextImage) {
  for (const char* const way : kEachWay) {
    const os::Setting setting("MORSEL_DIRTY", way);
    const os::Setting frames("MORSEL_FRAMES", "anonymous");
    ASSERT_NO_FATAL_FAILURE(OpenPool(os::KernelCalls()));
    std::unique_ptr<Backing> morsel = Create();
    alloc::HeapFrames& memory = *morsel->frames_of_heap();
    char* const base = reinterpret_cast<char*>(WordsOf(*morsel));
    const uint64_t bytes = 4 * kSubtreeBytes;
    std::memset(base + kSubtreeBytes, 1, 3 * kSubtreeBytes);
    ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
    // A whole subtree, and a part of one. A page of it is written afterwards, and again after the
    // next checkpoint.
    memory.GiveBack(base + kSubtreeBytes, base + 2 * kSubtreeBytes + 64 * kKiB);
    std::vector<char> expected(bytes);
    std::memset(&expected[2 * kSubtreeBytes + 64 * kKiB], 1, 2 * kSubtreeBytes - 64 * kKiB);
    expected[kSubtreeBytes + 5 * kPageBytes] = base[kSubtreeBytes + 5 * kPageBytes] = 7;
    ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
    expected[kSubtreeBytes + 6 * kPageBytes] = base[kSubtreeBytes + 6 * kPageBytes] = 8;
    ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
    std::memcpy(expected.data(), base, kSubtreeBytes);
    morsel.reset();
    morsel = Reopen();
    EXPECT_EQ(std::memcmp(WordsOf(*morsel), expected.data(), bytes), 0) << way;
    morsel.reset();
    pool_.reset();
  }
}

TEST_F(ImageBackingTest, ItIsKnownWhatWasNeverTouched) {
  const os::Setting frames("MORSEL_FRAMES", "anonymous");
  ASSERT_NO_FATAL_FAILURE(OpenPool(os::KernelCalls()));
  const std::unique_ptr<Backing> morsel = Create(16 * kSubtreeBytes);
  alloc::HeapFrames& memory = *morsel->frames_of_heap();
  char* const base = reinterpret_cast<char*>(WordsOf(*morsel));
  char* const end = base + 16 * kSubtreeBytes;
  char* const begin = base + kSubtreeBytes;  // the heap's header is before
  EXPECT_EQ(memory.FirstTouched(begin, end).begin, end);
  for (char* const page : {begin + 3 * kPageBytes, end - kSubtreeBytes}) *page = 1;
  char* seen = nullptr;
  for (char* at = begin; at < end;) {
    const alloc::HeapFrames::Range range = memory.FirstTouched(at, end);
    if (range.begin == end) break;
    EXPECT_LE(at, range.begin);
    for (char* const page : {begin + 3 * kPageBytes, end - kSubtreeBytes}) {
      if (range.begin <= page && page < range.end) seen = page;
    }
    EXPECT_TRUE(range.begin < begin + kSubtreeBytes || range.begin >= end - kSubtreeBytes);
    at = range.end;
  }
  EXPECT_EQ(seen, end - kSubtreeBytes);
  const alloc::HeapFrames::Range first = memory.FirstTouched(begin + 3 * kPageBytes + 1, end);
  EXPECT_EQ(first.begin, begin + 3 * kPageBytes + 1) << "the rest of a page that was touched";
}

// Memory that was cut off and came back is zero, though the image still has its old contents.
TEST_F(ImageBackingTest, MemoryThatIsCutOffAndComesBackIsDirty) {
  for (const char* const way : kEachWay) {
    const os::Setting setting("MORSEL_DIRTY", way);
    ASSERT_NO_FATAL_FAILURE(OpenPool(os::KernelCalls()));
    std::unique_ptr<Backing> morsel = Create();
    const uint64_t word = 3 * kSubtreeBytes / sizeof(uint64_t);
    WordsOf(*morsel)[word] = 7;
    WordsOf(*morsel)[word + 1000] = 7;
    ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
    ASSERT_TRUE(morsel->Resize(2 * kSubtreeBytes).ok()) << LastError();
    ASSERT_TRUE(morsel->Resize(4 * kSubtreeBytes).ok()) << LastError();
    WordsOf(*morsel)[word + 1000] = 9;
    ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
    WordsOf(*morsel)[word + 2000] = 11;
    ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
    morsel.reset();
    morsel = Reopen();
    EXPECT_EQ(WordsOf(*morsel)[word], 0u) << way;
    EXPECT_EQ(WordsOf(*morsel)[word + 1000], 9u) << way;
    EXPECT_EQ(WordsOf(*morsel)[word + 2000], 11u) << way;
    morsel.reset();
    pool_.reset();
  }
}

struct Outcome {
  std::vector<uint64_t> written_bytes;  // by each checkpoint
  std::string contents;
  bool operator==(const Outcome&) const = default;
};

// With each tracker, on each kind of frames, the same writes make the same images of the same
// length, though the kernel reports some kinds of frames 2 MiB or 1 GiB at a time.
TEST_F(ImageBackingTest, EachTrackerOnEachKindOfFramesStoresTheSame) {
  os::HugePages huge_pages;
  huge_pages.ProvideEach(8 * kSubtreeBytes);
  std::optional<Outcome> first;
  for (const os::FrameKind kind : os::kEachFrameKind) {
    for (const char* const way : kEachWay) {
      // os/memory/dirty_tracker_test has the other trackers on these frames: 1 GiB takes its time.
      if (kind == os::FrameKind::kHugetlb1G && (way != kEachWay[0] || kSlowBuild)) continue;
      SCOPED_TRACE(std::string(way) + " on " + os::FrameKindName(kind));
      const os::Setting frames("MORSEL_FRAMES", os::FrameKindName(kind));
      const os::Setting dirty("MORSEL_DIRTY", way);
      os::ScriptedCalls calls;
      ASSERT_NO_FATAL_FAILURE(OpenPool(calls));
      const uint64_t size_bytes =
          kind == os::FrameKind::kHugetlb1G ? kGiantBytes : 8 * kSubtreeBytes;
      std::unique_ptr<Backing> morsel = Create(size_bytes);
      ASSERT_NE(morsel, nullptr);
      EXPECT_EQ(static_cast<ImageBacking&>(*morsel).frames().BytesOf(kind), size_bytes);
      char* const bytes = reinterpret_cast<char*>(WordsOf(*morsel));
      std::memset(bytes, 0, sizeof(uint64_t));  // the base, which differs each time
      std::mt19937_64 random(5);
      const auto write_pages = [&](uint64_t count, uint64_t subtrees) {
        for (uint64_t i = 0; i < count; ++i) {
          bytes[random() % (subtrees * kSubtreeBytes)] = static_cast<char>(random() | 1);
        }
      };
      Outcome outcome;
      for (const uint64_t count : {3000, 1, 40, 0, 700, 40}) {
        write_pages(count, count == 3000 ? 4 : 8);
        const uint64_t before = calls.size_bytes(os::Call::kWrite);
        ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
        outcome.written_bytes.push_back(calls.size_bytes(os::Call::kWrite) - before);
      }
      write_pages(20, 8);
      morsel.reset();  // what was not stored is lost
      morsel = Reopen();
      ASSERT_NE(morsel, nullptr);
      outcome.contents.assign(reinterpret_cast<char*>(WordsOf(*morsel)), 8 * kSubtreeBytes);
      if (!first) first = outcome;
      EXPECT_EQ(outcome.written_bytes, first->written_bytes);
      EXPECT_TRUE(outcome == *first);
      morsel.reset();
      pool_.reset();
    }
  }
}

// What few pages change goes into the log, and is found by who opens the image next, whether it was
// put into its place or not.
TEST_F(ImageBackingTest, WhatWentIntoTheLogIsFoundAgain) {
  const os::Setting log("MORSEL_LOG", "always");
  for (const char* const way : {"scan", "fault"}) {
    const os::Setting dirty("MORSEL_DIRTY", way);
    os::ScriptedCalls calls;
    ASSERT_NO_FATAL_FAILURE(OpenPool(calls));
    std::unique_ptr<Backing> morsel = Create();
    ASSERT_NE(morsel, nullptr);
    std::mt19937_64 random(9);
    std::string expected(4 * kSubtreeBytes, '\0');
    const auto bytes = [&] { return reinterpret_cast<char*>(WordsOf(*morsel)); };
    expected.assign(bytes(), expected.size());
    for (int checkpoint = 0; checkpoint < 24; ++checkpoint) {
      for (uint64_t stores = checkpoint == 0 ? 2000 : random() % 6; stores > 0; --stores) {
        const uint64_t at = random() % expected.size();
        bytes()[at] = expected[at] = static_cast<char>(random() | 1);
      }
      ASSERT_TRUE(morsel->Checkpoint(7).ok()) << LastError();
      if (checkpoint % 6 != 5) continue;
      const Status settled = checkpoint == 11 ? morsel->Settle() : Status();
      ASSERT_TRUE(settled.ok()) << LastError();
      morsel.reset();
      morsel = Reopen();
      ASSERT_NE(morsel, nullptr) << LastError();
      ASSERT_EQ(std::memcmp(bytes(), expected.data(), expected.size()), 0) << checkpoint;
      EXPECT_EQ(morsel->record().live_bytes, 7U);
    }
    EXPECT_GT(calls.count(os::Call::kWriteSynced), 8U) << way;
    morsel.reset();
    pool_.reset();
  }
}

uint64_t PageFilter(const Backing& backing) {
  const os::Frames& frames = static_cast<const ImageBacking&>(backing).frames();
  uint64_t pages = 0;
  for (uint64_t at = 0; at < frames.end(); at += kSubtreeBytes) {
    pages += frames.Of(SubtreePosition(at / kSubtreeBytes)).count();
  }
  return pages;
}

// A morsel of 64 GiB has 32 MiB in use here and there. Checkpoints and opening cost what those
// cost.
TEST_F(ImageBackingTest, ASparseMorselCostsWhatIsInUseInIt) {
  constexpr uint64_t kBytes = kSlowBuild ? 1 * kGiB : 64 * kGiB;
  constexpr uint64_t kUsed = 16;
  for (const os::FrameKind kind : {os::FrameKind::kAnonymous, os::FrameKind::kShmem}) {
    for (const char* const way : kEachWay) {
      SCOPED_TRACE(std::string(way) + " on " + os::FrameKindName(kind));
      const os::Setting frames("MORSEL_FRAMES", os::FrameKindName(kind));
      const os::Setting dirty("MORSEL_DIRTY", way);
      os::ScriptedCalls calls;
      ASSERT_NO_FATAL_FAILURE(OpenPool(calls));
      std::unique_ptr<Backing> morsel = Create(kBytes);
      ASSERT_NE(morsel, nullptr);
      char* bytes = reinterpret_cast<char*>(WordsOf(*morsel));
      for (uint64_t i = 0; i < kUsed; ++i) {
        std::memset(bytes + i * (kBytes / kUsed) + kSubtreeBytes, 7, kSubtreeBytes);
      }
      const uint64_t touched = PageFilter(*morsel);
      EXPECT_LE(touched, (kUsed + 1) * os::kPagesPerSubtree);
      uint64_t written = calls.size_bytes(os::Call::kWrite);
      ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
      EXPECT_LE(calls.size_bytes(os::Call::kWrite) - written, kUsed * (kSubtreeBytes + 64 * kKiB));
      written = calls.size_bytes(os::Call::kWrite);
      bytes[kSubtreeBytes] = 8;
      ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
      EXPECT_LE(calls.size_bytes(os::Call::kWrite) - written, 64 * kKiB);
      EXPECT_EQ(PageFilter(*morsel), touched) << "a checkpoint took memory";
      morsel.reset();
      calls.CountAnew();
      morsel = Reopen();
      ASSERT_NE(morsel, nullptr);
      bytes = reinterpret_cast<char*>(WordsOf(*morsel));
      EXPECT_EQ(bytes[kSubtreeBytes], 8);
      EXPECT_LE(calls.size_bytes(os::Call::kRead), (kUsed + 1) * (kSubtreeBytes + 128 * kKiB));
      EXPECT_LE(PageFilter(*morsel), (kUsed + 1) * os::kPagesPerSubtree);
      morsel.reset();
      pool_.reset();
    }
  }
}

// Each page of a large block takes a page, before and after a checkpoint.
TEST_F(ImageBackingTest, ALargeBlockTakesWhatIsUsedOfIt) {
  const os::Setting frames("MORSEL_FRAMES", "anonymous");
  os::ScriptedCalls calls;
  OpenPool(calls);
  constexpr uint64_t kSubtrees = 64;
  const std::unique_ptr<Backing> morsel = Create(kSubtrees * kSubtreeBytes);
  ASSERT_NE(morsel, nullptr);
  char* const bytes = reinterpret_cast<char*>(WordsOf(*morsel));
  const uint64_t before = PageFilter(*morsel);
  using Use = alloc::HeapFrames::Use;
  morsel->frames_of_heap()->Expect(bytes + kSubtreeBytes, bytes + kSubtrees * kSubtreeBytes,
                                   Use::kAny);
  for (uint64_t i = 1; i < kSubtrees; ++i) bytes[i * kSubtreeBytes + i * kPageBytes] = 1;
  EXPECT_EQ(PageFilter(*morsel) - before, kSubtrees - 1);
  ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
  EXPECT_EQ(PageFilter(*morsel) - before, kSubtrees - 1);
}

}  // namespace
}  // namespace morsel
