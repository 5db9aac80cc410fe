#include "alloc/slab.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <bit>
#include <cstring>
#include <set>
#include <vector>

#include "alloc/heap_testing.h"
#include "pmem/crash_recorder_testing.h"

namespace morsel::alloc {
namespace {

class SlabTest : public testing::Test {
 protected:
  Slab Describe(unsigned size_class) {
    run_ = std::make_unique<alloc::Run>();
    run_->head = UnitIndex(32);
    run_->start = memory_.base();
    run_->BecomeSlab(size_class);
    run_->reserved = &reserved_;
    return Slab(*run_);
  }

  Slab Make(unsigned size_class) {
    Slab slab = Describe(size_class);
    slab.Make(recorder_.persist());
    return slab;
  }

  static std::vector<char*> TakeAll(Slab slab) {
    std::vector<char*> blocks;
    FreeWord word;
    while (slab.Reserve(&word)) {
      while (word.mask != 0) blocks.push_back(static_cast<char*>(word.Take()));
      slab.Unreserve(&word);
    }
    EXPECT_FALSE(slab.HasRoom());
    return blocks;
  }

  static bool IsDurable(const alloc::Run& run) {
    for (const LineCounter& line : run.lines) {
      if (!run.IsDurable(line)) return false;
    }
    return true;
  }

  // Memory as it is after long use.
  pmem::CrashRecorder::Span Dirty() {
    std::memset(memory_.base(), 0xff, kSubtreeBytes);
    return {memory_.base(), kSubtreeBytes};
  }

  uint64_t UndecidedLines() {
    recorder_.Observe();
    return recorder_.undecided_lines();
  }

  HeapMemory memory_{kSubtreeBytes};
  FreeWord reserved_;                // of another slab
  std::unique_ptr<alloc::Run> run_;  // testing::Test has a Run of its own
  pmem::CrashRecorder recorder_{{Dirty()}};
};

TEST_F(SlabTest, EachClassGivesAllItsBlocksOnce) {
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    const Slab slab = Make(size_class);
    const uint64_t bytes = BlockBytes(size_class);
    const std::vector<char*> blocks = TakeAll(slab);
    ASSERT_EQ(blocks.size(), run_->capacity());
    EXPECT_GE(blocks.size(), kBlocksPerSlabMin - 1);
    char* behind = reinterpret_cast<char*>(slab.Pairs()) + BitLineCount(size_class) * kLineBytes;
    for (char* const block : blocks) {
      ASSERT_GE(block, behind);
      ASSERT_EQ(static_cast<uint64_t>(block - run_->start) % bytes, 0u);
      ASSERT_TRUE(slab.IsInLiveBlock(block));
      ASSERT_TRUE(slab.IsInLiveBlock(block + bytes - 1));
      ASSERT_EQ(slab.LiveIndex(block, "test"), static_cast<uint64_t>(block - run_->start) / bytes);
      behind = block + bytes;
    }
    EXPECT_LE(behind, run_->start + SlabUnits(size_class).value() * kUnitBytes);
    EXPECT_FALSE(slab.IsInLiveBlock(run_->start));
  }
}

// A word for each unit that a slab of the heap may begin at, until the colors repeat.
TEST_F(SlabTest, NeighboursHaveTheirBitsAtDifferentDistances) {
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    const uint64_t units = SlabUnits(size_class).value();
    std::set<uint64_t> distances;
    for (uint64_t i = 0; i < SlabColors(size_class); ++i) {
      const UnitIndex head(32 + i * units);
      distances.insert(BitPairsOffset(size_class, head));
      EXPECT_GE(EndBlock(size_class) - FirstBlock(size_class, head), kBlocksPerSlabMin - 1);
    }
    EXPECT_EQ(distances.size(), SlabColors(size_class));
  }
}

TEST_F(SlabTest, EveryOffsetBelongsToTheBlockThatADivisionSays) {
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    Describe(size_class);
    const uint64_t bytes = BlockBytes(size_class);
    for (uint64_t index = 0; index < EndBlock(size_class); ++index) {
      for (const uint64_t in_block : {uint64_t{0}, uint64_t{1}, bytes / 2, bytes - 1}) {
        const auto place = run_->PlaceOf(index * bytes + in_block);
        ASSERT_EQ(place.index, index) << bytes;
        ASSERT_EQ(place.is_start, in_block == 0) << bytes;
      }
    }
  }
}

TEST_F(SlabTest, WhatIsGivenIsTakenAgainLowestFirst) {
  for (const unsigned size_class : {0u, 3u, 20u, kClassCount - 1}) {
    Slab slab = Make(size_class);
    const std::vector<char*> blocks = TakeAll(slab);
    for (const size_t i : {blocks.size() - 1, blocks.size() / 2, size_t{1}}) {
      ASSERT_TRUE(slab.Give(blocks[i]));
      ASSERT_FALSE(slab.Give(blocks[i])) << "twice";
      ASSERT_FALSE(slab.Give(blocks[i] + 1)) << "no start";
    }
    EXPECT_TRUE(slab.HasRoom());
    EXPECT_FALSE(slab.IsInLiveBlock(blocks[1]));
    EXPECT_EQ(TakeAll(slab), (std::vector{blocks[1], blocks[blocks.size() / 2], blocks.back()}));
  }
}

TEST_F(SlabTest, ANewSlabIsDurableAndTakingFlushesNothing) {
  Slab slab = Make(0);
  EXPECT_EQ(UndecidedLines(), 0u);
  const std::vector<char*> blocks = TakeAll(slab);
  EXPECT_EQ(UndecidedLines(), BitLineCount(0));
  EXPECT_FALSE(slab.IsEmpty());
  for (char* const block : blocks) ASSERT_TRUE(slab.Give(block));
  EXPECT_TRUE(slab.IsEmpty());
}

TEST_F(SlabTest, ALineThatIsHandedOutFromIsNotDurable) {
  Slab slab = Make(0);
  FreeWord word;
  ASSERT_TRUE(slab.Reserve(&word));
  LineCounter& line = *word.line;
  EXPECT_FALSE(run_->IsDurable(line));
  line.RaiseDurable(line.stored.load());
  EXPECT_FALSE(run_->IsDurable(line)) << "a block may have been taken since";
  const void* const block = word.Take();
  slab.Unreserve(&word);
  EXPECT_FALSE(run_->IsDurable(line));
  line.RaiseDurable(line.stored.load());
  EXPECT_TRUE(run_->IsDurable(line));
  EXPECT_TRUE(slab.IsInLiveBlock(block));
}

TEST_F(SlabTest, AnOpenSlabHasNoDurableLine) {
  Slab slab = Make(0);
  const std::vector<char*> blocks = TakeAll(slab);
  for (LineCounter& line : run_->lines) line.RaiseDurable(line.stored.load());
  ASSERT_TRUE(IsDurable(*run_));
  run_->Open(nullptr);
  ASSERT_TRUE(slab.Give(blocks[0]));
  LineCounter& line = run_->lines[0];
  const uint64_t seen = line.stored.load();
  EXPECT_FALSE(run_->IsDurable(line));
  ASSERT_TRUE(slab.Give(blocks[1]));
  run_->Close();
  line.RaiseDurable(seen);  // another thread's flush, before the second
  EXPECT_FALSE(run_->IsDurable(line));
  line.RaiseDurable(line.stored.load());
  EXPECT_TRUE(run_->IsDurable(line));
}

TEST_F(SlabTest, WhatOthersFreeIsFreeAndFoundByTheHolder) {
  Slab slab = Make(2);
  const std::vector<char*> blocks = TakeAll(slab);
  slab.GiveAsOther(slab.LiveIndex(blocks[5], "test"), blocks[5]);
  EXPECT_FALSE(slab.IsInLiveBlock(blocks[5]));
  EXPECT_FALSE(slab.HasRoom());
  EXPECT_TRUE(slab.HasFreed(0));
  EXPECT_FALSE(slab.Give(blocks[6])) << "before others' frees are folded";
  slab.Fold();
  EXPECT_FALSE(slab.HasFreed(0));
  EXPECT_EQ(TakeAll(slab), std::vector{blocks[5]});
}

TEST_F(SlabTest, FoldGivesToTheReserveOfTheWord) {
  Slab slab = Make(2);
  ASSERT_TRUE(slab.Reserve(&reserved_));
  void* const block = reserved_.Take();
  const uint64_t mask = reserved_.mask;
  slab.GiveAsOther(slab.LiveIndex(block, "test"), block);
  slab.Fold();
  EXPECT_EQ(std::popcount(reserved_.mask), std::popcount(mask) + 1);
  EXPECT_EQ(reserved_.Take(), block);
}

TEST_F(SlabTest, AdoptCountsFoldsAndFindsTheRoom) {
  for (const bool unclean : {false, true}) {
    Slab before = Make(2);
    const std::vector<char*> blocks = TakeAll(before);
    ASSERT_TRUE(before.Give(blocks[7]));
    before.Pairs()[6].freed = 0x8001;
    recorder_.Observe();
    Slab slab = Describe(2);
    ASSERT_TRUE(slab.Adopt(recorder_.persist(), unclean, false).ok());
    EXPECT_EQ(slab.Pairs()[6].freed, 0u);
    EXPECT_EQ(TakeAll(slab).size(), 3u);
    // After an unclean end all that was read is durable, what was stored unseen included.
    if (unclean) {
      Slab again = Describe(2);
      ASSERT_TRUE(again.Adopt(recorder_.persist(), true, false).ok());
      EXPECT_EQ(UndecidedLines(), 0u);
    }
  }
}

TEST_F(SlabTest, AdoptReadOnlyStoresNothing) {
  Slab before = Make(2);
  TakeAll(before);
  before.Pairs()[6].freed = 0x8001;
  const std::vector<char> bytes(memory_.base(), memory_.base() + kUnitBytes);
  Slab slab = Describe(2);
  ASSERT_TRUE(slab.Adopt(recorder_.persist(), true, true).ok());
  EXPECT_EQ(std::memcmp(bytes.data(), memory_.base(), bytes.size()), 0);
}

TEST_F(SlabTest, AdoptTakesNoOthersHeader) {
  Make(2);
  Slab slab = Describe(2);
  run_->head = UnitIndex(33);
  EXPECT_EQ(slab.Adopt(recorder_.persist(), false, false).code(), Code::kCorrupt);
  EXPECT_NE(std::string(LastError()).find("unit 33"), std::string::npos);
}

TEST_F(SlabTest, BitsOfNoBlockAreNothing) {
  Slab slab = Make(0);
  for (uint64_t i = 0; i < BitLineCount(0) * kPairsPerLine; ++i) {
    slab.Pairs()[i].bits = ~uint64_t{0};
  }
  Slab adopted = Describe(0);
  ASSERT_TRUE(adopted.Adopt(recorder_.persist(), false, true).ok());
  uint64_t allocated = 0;
  for (uint64_t word = 0; word < adopted.WordCount(); ++word) {
    allocated += static_cast<uint64_t>(std::popcount(adopted.Allocated(word)));
  }
  EXPECT_EQ(allocated, run_->capacity());
  EXPECT_FALSE(adopted.IsInLiveBlock(run_->start));
}

// Every value that a line has while `work` runs, seen between any two machine instructions.
class LineWatch {
 public:
  using Line = std::array<BitPair, kPairsPerLine>;
  template <class Work>
  static std::vector<Line> Watch(const BitPair* line, Work work) {
    line_ = line;
    count_ = 0;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_sigaction = &OnStep;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGTRAP, &action, &before);
    constexpr unsigned long long kTrapFlag = 0x100;
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | kTrapFlag);
    work();
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~kTrapFlag);
    sigaction(SIGTRAP, &before, nullptr);
    return {values_.begin(), values_.begin() + static_cast<ptrdiff_t>(count_)};
  }

 private:
  [[gnu::no_sanitize("thread")]] static void OnStep(int, siginfo_t*, void*) {
    Line now;
    std::copy_n(line_, now.size(), now.begin());
    if (count_ > 0 && Equal(now, values_[count_ - 1])) return;
    if (count_ < values_.size()) values_[count_++] = now;
  }
  [[gnu::no_sanitize("thread")]] static bool Equal(const Line& a, const Line& b) {
    for (size_t i = 0; i < kPairsPerLine; ++i) {
      if (a[i].bits != b[i].bits || a[i].freed != b[i].freed) return false;
    }
    return true;
  }

  static inline const BitPair* line_;
  static inline std::array<Line, 64> values_;
  static inline size_t count_;
};

TEST_F(SlabTest, FoldsBitsBeforeTheMask) {
  Slab slab = Make(2);
  TakeAll(slab);
  BitPair* const line = slab.Pairs() + kPairsPerLine;
  line[0].freed = 1;
  line[1].freed = 0xff00;
  line[3].freed = ~uint64_t{0};
  LineWatch::Line found;
  std::copy_n(line, found.size(), found.begin());
  const auto values = LineWatch::Watch(line, [&] { slab.Fold(); });
  ASSERT_EQ(values.size(), 1u + 2 * 3);  // bits and mask of three words, one by one
  for (const LineWatch::Line& value : values) {
    for (size_t i = 0; i < kPairsPerLine; ++i) {
      EXPECT_EQ(value[i].bits & ~value[i].freed, found[i].bits & ~found[i].freed);
    }
  }
  EXPECT_EQ(line[0].freed | line[1].freed | line[3].freed, 0u);
}

TEST(LineCounterTest, DurableIsWhatWasStoredBeforeTheFlush) {
  LineCounter counter;
  EXPECT_TRUE(counter.IsDurable());
  counter.Stored();
  const uint64_t seen = counter.stored.load();
  counter.Stored();
  counter.RaiseDurable(seen);
  EXPECT_FALSE(counter.IsDurable());
  counter.RaiseDurable(counter.stored.load());
  counter.RaiseDurable(seen);  // another thread's older fence
  EXPECT_TRUE(counter.IsDurable());
}

}  // namespace
}  // namespace morsel::alloc
