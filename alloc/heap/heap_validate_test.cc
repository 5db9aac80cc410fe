// Validate() of damaged bytes says what is wrong and where, and survives.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"
#include "base/check.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kRootBytes = 4096;

class HeapValidateTest : public testing::Test {
 protected:
  void Make(uint64_t size_bytes, uint64_t capacity_bytes) {
    memory_.emplace(capacity_bytes);
    place_ = memory_->Place(size_bytes);
    FormatHeap(place_, kRootBytes, pmem::VolatilePersist());
    heap_ = Heap::Open(place_, pmem::VolatilePersist(), true, false).value();
  }

  // The findings of a heap that was damaged while nobody had it open.
  std::string FindingsOfAnother() {
    return Findings(*Heap::Open(place_, pmem::VolatilePersist(), true, true).value());
  }

  uint64_t* Words(uint64_t offset) { return reinterpret_cast<uint64_t*>(memory_->base() + offset); }
  HeapHeader* header() { return reinterpret_cast<HeapHeader*>(memory_->base()); }

  // The findings while the word is `value`.
  std::string With(uint64_t* word, uint64_t value) {
    const uint64_t before = std::exchange(*word, value);
    const std::string findings = FindingsOfAnother();
    *word = before;
    EXPECT_EQ(FindingsOfAnother(), "");
    return findings;
  }

  uint64_t OffsetOf(void* block) {
    return static_cast<uint64_t>(static_cast<char*>(block) - memory_->base());
  }

  std::optional<HeapMemory> memory_;
  HeapPlace place_;
  std::unique_ptr<Heap> heap_;
};

TEST_F(HeapValidateTest, EachInvariantHasItsFinding) {
  Make(2 * kGiB, 3 * kGiB);
  void* const block = heap_->Allocate(1000, 16).value();
  void* const extent = heap_->Allocate(70'000, 16).value();
  void* const crossing = heap_->Allocate(kGiB + 64 * kMiB, 4096).value();
  ASSERT_EQ(Findings(*heap_), "");
  uint64_t* const words = Words(header()->map_offset);
  uint64_t* const directory = Words(header()->directory_offset);
  const uint64_t slab_unit = OffsetOf(block) / kUnitBytes;
  const uint64_t extent_unit = OffsetOf(extent) / kUnitBytes;
  const uint64_t crossing_unit = OffsetOf(crossing) / kUnitBytes;
  BitPair* const pairs = reinterpret_cast<BitPair*>(
      Words(slab_unit * kUnitBytes + BitPairsOffset(ClassOf(1000), UnitIndex(slab_unit))));

  EXPECT_NE(With(&words[1], UnitWord::Extent(UnitCount(1)).raw).find("[HEAP-1]"),
            std::string::npos);
  EXPECT_NE(With(&words[300], UnitWord::Extent(UnitCount(1 << 20)).raw).find("[HEAP-1]"),
            std::string::npos);
  EXPECT_NE(With(&words[extent_unit + 1], UnitWord::Extent(UnitCount(1)).raw).find("[HEAP-2]"),
            std::string::npos);
  EXPECT_NE(With(Words(slab_unit * kUnitBytes), 5).find("[HEAP-2]"), std::string::npos);
  for (const uint64_t word : {uint64_t{7}, UnitWord::Piece(UnitCount(2)).raw, ~uint64_t{0},
                              UnitWord::Slab(kClassCount).raw, UnitWord::Slab(3).raw | 1 << 20,
                              UnitWord::Extent(UnitCount(0)).raw}) {
    EXPECT_NE(With(&words[300], word).find("[HEAP-3] the word of unit 300 (offset 0x12c0000)"),
              std::string::npos);
  }
  EXPECT_NE(With(Words(directory[1] * kUnitBytes), 0).find("[HEAP-4]"), std::string::npos);
  EXPECT_NE(With(Words(directory[1] * kUnitBytes),
                 UnitWord::Piece(UnitCount(kUnitsPerRegion - crossing_unit + 1)).raw)
                .find("[HEAP-4]"),
            std::string::npos);
  EXPECT_NE(With(&directory[0], 9).find("[HEAP-6]"), std::string::npos);
  EXPECT_NE(With(&directory[2], directory[1]).find("[HEAP-6]"), std::string::npos);
  EXPECT_NE(With(&directory[1], extent_unit).find("[HEAP-6]"), std::string::npos);
  EXPECT_NE(With(&directory[1], ~uint64_t{0}).find("[HEAP-6]"), std::string::npos);
  EXPECT_NE(With(&pairs[0].bits, 1).find("[HEAP-7]"), std::string::npos);
  EXPECT_NE(With(&pairs[3].freed, uint64_t{1} << 63).find("[HEAP-7]"), std::string::npos);
}

TEST_F(HeapValidateTest, TheVolatileBitmapIsComparedWithTheMedium) {
  Make(2 * kMiB, 2 * kMiB);
  void* const extent = heap_->Allocate(70'000, 16).value();
  Words(header()->map_offset)[OffsetOf(extent) / kUnitBytes] = 0;
  EXPECT_NE(Findings(*heap_).find("[HEAP-1] from unit 1 (offset 0x10000) on, units are free on the "
                                  "medium and remembered as used"),
            std::string::npos);
}

TEST_F(HeapValidateTest, AChangedHeaderIsReportedAndNothingElseIsRead) {
  Make(2 * kMiB, 2 * kMiB);
  header()->directory_offset = ~uint64_t{0} / 2;
  EXPECT_NE(Findings(*heap_).find("header (offset 0x0)"), std::string::npos);
}

// Whatever the bytes are, nothing outside the heap is read, a read-only heap writes nothing, and
// every call returns.
TEST_F(HeapValidateTest, AnyDamageIsSurvived) {
  const uint64_t seed = FreshSeed();
  std::mt19937_64 random(seed);
  for (int i = 0; i < (kSlowBuild ? 8 : 150); ++i) {
    SCOPED_TRACE(seed);
    memory_.reset();
    Make(4 * kMiB, 2 * kGiB);
    ASSERT_EQ(mprotect(memory_->base() + 4 * kMiB, 2 * kGiB - 4 * kMiB, PROT_NONE), 0);
    for (int j = 0; j < 40; ++j) (void)heap_->Allocate(random() % 100'000, 16);
    MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
    heap_.reset();
    const uint64_t begin = header()->directory_offset;
    const uint64_t end = random() % 2 == 0 ? begin + 2000 : 4 * kMiB;
    for (uint64_t wrong = random() % 50; wrong > 0; --wrong) {
      uint64_t& word = *Words((begin + random() % (end - begin)) & ~uint64_t{7});
      const uint64_t kind = random() % 4;
      word = kind == 0   ? random()
             : kind == 1 ? word ^ uint64_t { 1 } << random() % 64
             : kind == 2 ? UnitWord::Extent(UnitCount(random() % 100)).raw
                         : UnitWord::Slab(random() % 100).raw;
    }
    const std::string bytes(memory_->base(), 4 * kMiB);
    for (const bool read_only : {true, false}) {
      Result<std::unique_ptr<Heap>> heap =
          Heap::Open(place_, pmem::VolatilePersist(), true, read_only);
      ASSERT_TRUE(heap) << LastError();
      Findings(**heap);
      (void)(*heap)->StopAndRelease().LiveBytes();
      for (uint64_t at = 0; at < 4 * kMiB; at += 5000) (void)(*heap)->IsLive(memory_->base() + at);
      Findings(**heap);
      if (read_only) {
        ASSERT_EQ(std::memcmp(bytes.data(), memory_->base(), bytes.size()), 0);
        continue;
      }
      for (int j = 0; j < 40; ++j) (void)(*heap)->Allocate(random() % 100'000, 16);
      (void)(*heap)->StopAndRelease().Close();  // it may fail because of the damage
    }
  }
}

}  // namespace
}  // namespace morsel::alloc
