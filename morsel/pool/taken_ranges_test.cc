#include "morsel/pool/taken_ranges.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/bits.h"
#include "base/units.h"

namespace morsel {
namespace {

TEST(BaseGrid, FromReturnsTheFirstBaseThatIsNotBefore) {
  for (const uint64_t like : {uint64_t{0}, uint64_t{3}, uint64_t{103}}) {
    const BaseGrid grid(16, like);
    for (uint64_t at = 0; at < 50; ++at) {
      const uint64_t base = grid.From(at);
      EXPECT_EQ(base % 16, like % 16);
      EXPECT_TRUE(base >= at && base < at + 16);
    }
  }
}

struct Range {
  uint64_t base;
  uint64_t size_bytes;
};

// The model: looks at every place.
std::optional<uint64_t> Naive(const std::vector<Range>& taken, uint64_t from, uint64_t end,
                              uint64_t size_bytes, uint64_t alignment) {
  for (uint64_t base = AlignUp(from, alignment); base + size_bytes <= end; base += alignment) {
    bool is_free = true;
    for (const Range& range : taken) {
      is_free &= base + size_bytes <= range.base || range.base + range.size_bytes <= base;
    }
    if (is_free) return base;
  }
  return std::nullopt;
}

void ExpectAgreement(bool may_meet, uint64_t seed) {
  std::mt19937_64 random(seed);
  TakenRanges ranges;
  std::vector<Range> model;
  for (int step = 0; step < 1500; ++step) {
    const uint64_t size = 1 + random() % 24;
    const uint64_t alignment = uint64_t{1} << random() % 4;
    const uint64_t from = random() % 420;
    const auto found = ranges.FirstFree(from, 400, size, alignment);
    ASSERT_EQ(found, Naive(model, from, 400, size, alignment)) << "seed " << seed;
    if (random() % 5 < 2 && !model.empty()) {
      const uint64_t index = random() % model.size();
      ranges.Remove(model[index].base, model[index].size_bytes);
      model.erase(model.begin() + static_cast<int64_t>(index));
    } else if (may_meet || found) {
      model.push_back({may_meet ? random() % 400 : *found, size});
      ranges.Add(model.back().base, size);
    }
    ASSERT_EQ(ranges.count(), model.size());
  }
}

TEST(TakenRangesTest, FindsTheSamePlaceAsANaiveSearch) { ExpectAgreement(false, 3); }
TEST(TakenRangesTest, FindsTheSamePlaceAsANaiveSearchIfRangesOverlap) { ExpectAgreement(true, 4); }

// As in a full pool: 65,536 morsels of 512 MiB are 32 TiB, and each has the process' page besides.
TEST(TakenRangesTest, FindsAPlaceAmongManyRangesWithAFewLooks) {
  constexpr uint64_t kBegin = 0x100100000000;
  constexpr uint64_t kEnd = 0x500000000000;
  constexpr uint64_t kSize = 514 * kMiB;
  constexpr uint64_t kMorsels = 65'536;
  std::mt19937_64 random(5);
  TakenRanges ranges;
  for (uint64_t i = 0; i < kMorsels; ++i) {
    const uint64_t places = (kEnd - kBegin - kSize) / kSubtreeBytes + 1;
    const uint64_t from = kBegin + random() % places * kSubtreeBytes;
    auto base = ranges.FirstFree(from, kEnd, kSize, kSubtreeBytes);
    if (!base) base = ranges.FirstFree(kBegin, kEnd, kSize, kSubtreeBytes);
    ASSERT_TRUE(base.has_value()) << "morsel " << i;
    ranges.Add(*base, kSize);
  }
  EXPECT_LE(ranges.looked_at(), 8 * kMorsels);
}

}  // namespace
}  // namespace morsel
