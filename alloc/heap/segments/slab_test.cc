#include "alloc/heap/segments/slab.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "os/testing/fixed_memory_testing.h"
#include "os/testing/seed_testing.h"
#include "sim/model/crash_recorder_testing.h"

namespace morsel::alloc {
namespace {

// Records every value that a line of BitPairs, and a number beside it, have while `work` runs. It
// looks between any two machine instructions (the processor's trap flag).
class LineWatch {
 public:
  struct Value {
    std::array<BitPair, kPairsPerLine> line;
    uint64_t beside;
  };
  template <class Work>
  static std::vector<Value> Watch(const BitPair* line, const std::atomic<uint64_t>& beside,
                                  Work work) {
    line_ = line;
    beside_ = reinterpret_cast<const uint64_t*>(&beside);
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
    Value now;
    std::copy_n(line_, now.line.size(), now.line.begin());
    now.beside = *beside_;  // a plain load: no sanitizer may be called from here
    if (count_ > 0 && Equal(now, values_[count_ - 1])) return;
    if (count_ < values_.size()) values_[count_++] = now;
  }
  [[gnu::no_sanitize("thread")]] static bool Equal(const Value& a, const Value& b) {
    for (size_t i = 0; i < kPairsPerLine; ++i) {
      if (a.line[i].bits != b.line[i].bits || a.line[i].freed != b.line[i].freed) return false;
    }
    return a.beside == b.beside;
  }

  static inline const BitPair* line_;
  static inline const uint64_t* beside_;
  static inline std::array<Value, 64> values_;
  static inline size_t count_;
};

class SlabTest : public testing::Test {
 protected:
  Slab Describe(unsigned size_class) {
    segment_ = std::make_unique<alloc::Segment>();
    segment_->head = UnitIndex(32);
    segment_->start = memory_.base();
    segment_->BecomeSlab(size_class);
    return Slab(*segment_);
  }

  Slab Make(unsigned size_class) {
    Slab slab = Describe(size_class);
    slab.Make(recorder_.persist());
    return slab;
  }

  static std::vector<char*> TakeAll(Slab slab) {
    std::vector<char*> blocks;
    for (uint64_t word = 0; word < slab.WordCount(); ++word) {
      while (const uint64_t taken = slab.Take(word, 5)) {
        EXPECT_LE(std::popcount(taken), 5);
        for (uint64_t bit = 0; bit < 64; ++bit) {
          if ((taken >> bit) & 1) blocks.push_back(slab.BlockAt(word * 64 + bit));
        }
      }
    }
    EXPECT_FALSE(slab.HasRoom());
    return blocks;
  }

  // Memory without a zero byte, as after long use.
  pmem::CrashRecorder::Span Dirty() {
    std::memset(memory_.base(), 0xff, kSubtreeBytes);
    return {memory_.base(), kSubtreeBytes};
  }

  uint64_t UndecidedLines() {
    recorder_.Observe();
    return recorder_.undecided_lines();
  }

  FixedMemory memory_{kSubtreeBytes};
  std::unique_ptr<alloc::Segment> segment_;
  pmem::CrashRecorder recorder_{{Dirty()}};
};

TEST_F(SlabTest, EachClassHandsOutEachBlockOnce) {
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    const Slab slab = Make(size_class);
    const uint64_t bytes = BlockBytes(size_class);
    const std::vector<char*> blocks = TakeAll(slab);
    ASSERT_EQ(blocks.size(), segment_->capacity());
    EXPECT_GE(blocks.size(), kBlocksPerSlabMin - 1);
    char* behind = reinterpret_cast<char*>(slab.Pairs()) + BitLineCount(size_class) * kLineBytes;
    for (char* const block : blocks) {
      ASSERT_GE(block, behind);
      ASSERT_EQ(static_cast<uint64_t>(block - segment_->start) % bytes, 0u);
      ASSERT_TRUE(slab.IsInLiveBlock(block));
      ASSERT_TRUE(slab.IsInLiveBlock(block + bytes - 1));
      ASSERT_EQ(slab.LiveIndex(block, "test"),
                static_cast<uint64_t>(block - segment_->start) / bytes);
      behind = block + bytes;
    }
    EXPECT_LE(behind, segment_->start + SlabUnits(size_class).value() * kUnitBytes);
    EXPECT_FALSE(slab.IsInLiveBlock(segment_->start));
  }
}

// Slabs that follow each other in the heap, until the colors repeat.
TEST_F(SlabTest, NeighbouringSlabsHaveDifferentColors) {
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

TEST_F(SlabTest, PlaceOfAgreesWithDivision) {
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    Describe(size_class);
    const uint64_t bytes = BlockBytes(size_class);
    for (uint64_t index = 0; index < EndBlock(size_class); ++index) {
      for (const uint64_t in_block : {uint64_t{0}, uint64_t{1}, bytes / 2, bytes - 1}) {
        const auto place = segment_->PlaceOf(index * bytes + in_block);
        ASSERT_EQ(place.index, index) << bytes;
        ASSERT_EQ(place.is_start, in_block == 0) << bytes;
      }
    }
  }
}

TEST_F(SlabTest, FreedBlocksAreTakenAgainLowestFirst) {
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

TEST_F(SlabTest, ALineThatBlocksAreTakenFromIsNotDurable) {
  Slab slab = Make(0);
  LineCounter& line = segment_->lines[0];
  const uint64_t word = segment_->first_block / 64;
  ASSERT_NE(slab.Take(word, 1), 0u);
  const uint64_t seen = line.stored.load();
  EXPECT_FALSE(line.IsDurable());
  ASSERT_NE(slab.Take(word, 1), 0u);
  line.RaiseDurable(seen);  // another thread's flush, before the second
  EXPECT_FALSE(line.IsDurable());
  line.RaiseDurable(line.stored.load());
  EXPECT_TRUE(line.IsDurable());
  // No persist() waits for a free.
  ASSERT_TRUE(slab.Give(slab.BlockAt(segment_->first_block)));
  EXPECT_TRUE(line.IsDurable());
}

TEST_F(SlabTest, ABitIsStoredBeforeItsLineCounts) {
  Slab slab = Make(0);
  const uint64_t word = segment_->first_block / 64;
  const auto values =
      LineWatch::Watch(slab.Pairs(), segment_->lines[0].stored, [&] { slab.Take(word, 7); });
  // First nothing is stored, then the bits, then the count.
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[1].line[word].bits, values[2].line[word].bits);
  EXPECT_NE(values[0].line[word].bits, values[1].line[word].bits);
  EXPECT_EQ(values[0].beside, values[1].beside);
  EXPECT_LT(values[1].beside, values[2].beside);
}

void GiveAsOther(Slab& slab, const void* block) {
  const uint64_t index = slab.LiveIndex(block, "test");
  slab.GiveAsOther(index / 64, uint64_t{1} << (index % 64));
}

TEST_F(SlabTest, FoldFreesWhatOthersHaveMarked) {
  Slab slab = Make(2);
  const std::vector<char*> blocks = TakeAll(slab);
  GiveAsOther(slab, blocks[5]);
  EXPECT_FALSE(slab.IsInLiveBlock(blocks[5]));
  EXPECT_FALSE(slab.HasRoom());
  EXPECT_TRUE(slab.HasRoom(0));
  EXPECT_FALSE(slab.HasRoom(1));
  slab.Fold();
  EXPECT_TRUE(slab.HasRoom());
  EXPECT_TRUE(slab.HasRoom(0));
  EXPECT_EQ(TakeAll(slab), std::vector{blocks[5]});
}

TEST_F(SlabTest, FreeingWhatAnotherFreedEndsTheProcess) {
  Slab slab = Make(2);
  const std::vector<char*> blocks = TakeAll(slab);
  const uint64_t index = slab.LiveIndex(blocks[5], "test");
  const uint64_t bit = uint64_t{1} << (index % 64);
  slab.GiveAsOther(index / 64, bit | bit << 1);
  char address[20];
  std::snprintf(address, sizeof address, "%p", static_cast<void*>(blocks[5]));
  EXPECT_DEATH(slab.GiveAsOther(index / 64, bit | bit >> 1),
               std::string("free of ") + address + ", a block of 48 bytes that is not allocated");
}

TEST_F(SlabTest, TakingWhatBothFreedEndsTheProcess) {
  Slab slab = Make(2);
  const std::vector<char*> blocks = TakeAll(slab);
  GiveAsOther(slab, blocks[5]);
  ASSERT_TRUE(slab.Give(blocks[5]));
  EXPECT_DEATH(TakeAll(slab), "48 bytes that is not allocated: it was freed before");
}

TEST_F(SlabTest, AdoptMergesWhatOthersFreed) {
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
    // After an unclean end, all that was read is durable, and so is what nobody had flushed.
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

TEST_F(SlabTest, AdoptRejectsTheHeaderOfAnotherSlab) {
  Make(2);
  Slab slab = Describe(2);
  segment_->head = UnitIndex(33);
  EXPECT_EQ(slab.Adopt(recorder_.persist(), false, false).code(), Code::kCorrupt);
  EXPECT_NE(std::string(LastError()).find("unit 33"), std::string::npos);
}

TEST_F(SlabTest, BitsOfNoBlockAreIgnored) {
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
  EXPECT_EQ(allocated, segment_->capacity());
  EXPECT_FALSE(adopted.IsInLiveBlock(segment_->start));
}

TEST_F(SlabTest, FoldsBitsBeforeTheMask) {
  Slab slab = Make(2);
  TakeAll(slab);
  BitPair* const line = slab.Pairs() + kPairsPerLine;
  line[0].freed = 1;
  line[1].freed = 0xff00;
  line[3].freed = ~uint64_t{0};
  std::array<BitPair, kPairsPerLine> found;
  std::copy_n(line, found.size(), found.begin());
  const auto values =
      LineWatch::Watch(line, segment_->lines[1].stored, [&] { slab.Fold(); });  // the count stays
  ASSERT_EQ(values.size(), 1u + 2 * 3);  // the bits and the mask of three words, one at a time
  for (const LineWatch::Value& value : values) {
    for (size_t i = 0; i < kPairsPerLine; ++i) {
      EXPECT_EQ(value.line[i].bits & ~value.line[i].freed, found[i].bits & ~found[i].freed);
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
