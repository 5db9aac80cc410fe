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
    run_->size_class = size_class;
    run_->start = memory_.base();
    return Slab(*run_);
  }

  Slab Make(unsigned size_class) {
    Slab slab = Describe(size_class);
    slab.Make(recorder_.persist());
    return slab;
  }

  static std::vector<char*> TakeAll(Slab slab) {
    std::vector<char*> blocks;
    while (void* const block = slab.Take()) blocks.push_back(static_cast<char*>(block));
    return blocks;
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
    char* behind = run_->start + sizeof(SlabHeader) + BitLineCount(size_class) * sizeof(BitLine);
    for (char* const block : blocks) {
      ASSERT_GE(block, behind);
      ASSERT_EQ(static_cast<uint64_t>(block - run_->start) % bytes, 0u);
      ASSERT_TRUE(slab.IsLive(block));
      ASSERT_TRUE(slab.IsInLiveBlock(block + bytes - 1));
      ASSERT_FALSE(slab.IsLive(block + 1));
      behind = block + bytes;
    }
    EXPECT_LE(behind, run_->start + SlabUnits(size_class).value() * kUnitBytes);
    EXPECT_EQ(run_->used, run_->capacity());
    EXPECT_FALSE(slab.IsInLiveBlock(run_->start));
  }
}

TEST_F(SlabTest, WhatIsGivenIsTakenAgainLowestFirst) {
  for (const unsigned size_class : {0u, 3u, 20u, kClassCount - 1}) {
    Slab slab = Make(size_class);
    const std::vector<char*> blocks = TakeAll(slab);
    for (const size_t i : {blocks.size() - 1, blocks.size() / 2, size_t{1}}) slab.Give(blocks[i]);
    EXPECT_FALSE(slab.IsInLiveBlock(blocks[1]));
    EXPECT_EQ(TakeAll(slab), (std::vector{blocks[1], blocks[blocks.size() / 2], blocks.back()}));
  }
}

TEST_F(SlabTest, ANewSlabIsDurableAndTakingFlushesNothing) {
  Slab slab = Make(0);
  EXPECT_EQ(UndecidedLines(), 0u);
  const std::vector<char*> blocks = TakeAll(slab);
  EXPECT_EQ(UndecidedLines(), BitLineCount(0));
  for (char* const block : blocks) slab.Give(block);
  EXPECT_EQ(run_->used, 0u);
}

TEST_F(SlabTest, ALineIsFlushedUntilItIsDurable) {
  Slab slab = Make(0);
  const std::vector<char*> blocks = TakeAll(slab);
  std::vector<std::pair<LineCounter*, uint64_t>> flushed;
  const auto flush = [&](const char* begin, const char* end) {
    flushed.clear();
    slab.FlushBits(begin, end, recorder_.persist(), [&](LineCounter* counter, uint64_t seen) {
      flushed.emplace_back(counter, seen);
      return true;
    });
    return flushed.size();
  };
  EXPECT_EQ(flush(blocks[0], blocks[0] + 1), 1u);
  EXPECT_EQ(flush(blocks[0], blocks[0] + 1), 1u);  // flushed is not durable
  slab.Give(blocks[3]);
  flushed[0].first->RaiseDurable(flushed[0].second);
  EXPECT_EQ(flush(blocks[0], blocks[0] + 1), 1u);  // stored to since
  flushed[0].first->RaiseDurable(flushed[0].second);
  EXPECT_EQ(flush(blocks[0], blocks[0] + 1), 0u);
  EXPECT_EQ(flush(blocks[0], blocks.back() + 16), BitLineCount(0) - 1);
}

TEST_F(SlabTest, AdoptCountsFoldsAndFindsTheRoom) {
  for (const bool unclean : {false, true}) {
    Slab before = Make(2);
    const std::vector<char*> blocks = TakeAll(before);
    before.Give(blocks[7]);
    before.Lines()[1].freed[2] = 0x8001;
    recorder_.Observe();
    Slab slab = Describe(2);
    ASSERT_TRUE(slab.Adopt(recorder_.persist(), unclean, false).ok());
    EXPECT_EQ(run_->used, run_->capacity() - 3);
    EXPECT_EQ(slab.Lines()[1].freed[2], 0u);
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
  before.Lines()[1].freed[2] = 0x8001;
  const std::vector<char> bytes(memory_.base(), memory_.base() + kUnitBytes);
  Slab slab = Describe(2);
  ASSERT_TRUE(slab.Adopt(recorder_.persist(), true, true).ok());
  EXPECT_EQ(run_->used, run_->capacity() - 2);
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
  for (BitLine* line = slab.Lines(); line < slab.Lines() + BitLineCount(0); ++line) {
    std::memset(line->bits, 0xff, sizeof line->bits);
  }
  Slab adopted = Describe(0);
  ASSERT_TRUE(adopted.Adopt(recorder_.persist(), false, true).ok());
  EXPECT_EQ(run_->used, run_->capacity());
  EXPECT_FALSE(adopted.IsLive(run_->start));
}

// Every value that a line has while `work` runs, seen between any two machine instructions.
class LineWatch {
 public:
  template <class Work>
  static std::vector<BitLine> Watch(const BitLine* line, Work work) {
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
    const BitLine now = *line_;
    if (count_ > 0 && Equal(now, values_[count_ - 1])) return;
    if (count_ < values_.size()) values_[count_++] = now;
  }
  [[gnu::no_sanitize("thread")]] static bool Equal(const BitLine& a, const BitLine& b) {
    for (int i = 0; i < 4; ++i) {
      if (a.bits[i] != b.bits[i] || a.freed[i] != b.freed[i]) return false;
    }
    return true;
  }

  static inline const BitLine* line_;
  static inline std::array<BitLine, 64> values_;
  static inline size_t count_;
};

TEST_F(SlabTest, FoldsBitsBeforeTheMask) {
  Slab before = Make(2);
  TakeAll(before);
  BitLine& line = before.Lines()[1];
  line.freed[0] = 1;
  line.freed[1] = 0xff00;
  line.freed[3] = ~uint64_t{0};
  const BitLine found = line;
  Slab slab = Describe(2);
  const std::vector<BitLine> values =
      LineWatch::Watch(&line, [&] { (void)slab.Adopt(pmem::VolatilePersist(), false, false); });
  ASSERT_EQ(values.size(), 1u + 2 * 3);  // bits and mask of three words, one by one
  for (const BitLine& value : values) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(value.bits[i] & ~value.freed[i], found.bits[i] & ~found.freed[i]);
    }
  }
  EXPECT_EQ(line.freed[0] | line.freed[1] | line.freed[3], 0u);
}

TEST(LineCounterTest, DurableIsWhatWasStoredBeforeTheFlush) {
  LineCounter counter;
  EXPECT_TRUE(counter.IsDurable());
  counter.Stored();
  const uint64_t seen = counter.stored.load();
  counter.Stored();
  counter.RaiseDurable(seen);
  EXPECT_FALSE(counter.IsDurable());
  counter.RaiseDurable(2);
  counter.RaiseDurable(seen);  // another thread's older fence
  EXPECT_TRUE(counter.IsDurable());
}

TEST(PendingLinesTest, MayForgetAndNeverRaisesAnotherHeapsLines) {
  PendingLines pending;
  std::array<LineCounter, 200> counters;
  for (LineCounter& counter : counters) {
    counter.Stored();
    pending.Add(1, &counter, 1);
  }
  pending.Fenced(2);
  EXPECT_FALSE(counters[0].IsDurable());
  pending.Fenced(1);
  EXPECT_TRUE(counters[0].IsDurable());
  EXPECT_FALSE(counters[199].IsDurable());
  counters[0].Stored();
  EXPECT_FALSE(pending.IsLast(1, &counters[0], 2));
  pending.Add(1, &counters[0], 2);
  EXPECT_TRUE(pending.IsLast(1, &counters[0], 2));
  EXPECT_FALSE(pending.IsLast(1, &counters[0], 3));
  EXPECT_FALSE(pending.IsLast(1, &counters[1], 2));
  EXPECT_FALSE(pending.IsLast(2, &counters[0], 2));
  pending.Add(2, &counters[199], 1);  // the thread works on another heap: the first is forgotten
  pending.Fenced(2);
  pending.Fenced(1);
  EXPECT_FALSE(counters[0].IsDurable());
  EXPECT_TRUE(counters[199].IsDurable());
}

}  // namespace
}  // namespace morsel::alloc
