#include "base/number_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace morsel {
namespace {

TEST(NumberSetTest, AgreesWithANaiveSet) {
  std::mt19937_64 random(11);
  for (const uint64_t end : {1, 2, 63, 64, 65, 4096, 4097, 300'000}) {
    NumberSet numbers(end);
    std::set<uint64_t> model;
    EXPECT_EQ(numbers.First(), NumberSet::kNone);
    for (int step = 0; step < 3000; ++step) {
      const uint64_t number = random() % end;
      const bool adds = random() % 2 == 0;
      adds ? numbers.Add(number) : numbers.Remove(number);
      adds ? (void)model.insert(number) : (void)model.erase(number);
      const uint64_t from = random() % (end + 70);
      const auto found = model.lower_bound(from);
      ASSERT_EQ(numbers.First(from), found == model.end() ? NumberSet::kNone : *found)
          << "end " << end << ", from " << from << ", step " << step;
      ASSERT_EQ(numbers.Has(number), model.contains(number));
    }
  }
}

TEST(NumberSetTest, FirstReadsAtMostTwoWordsPerLevel) {
  constexpr uint64_t kEnd = 1 << 18;
  NumberSet numbers(kEnd);
  for (uint64_t number = kEnd; number-- > 0; number = number * 2 / 3) {
    numbers.Add(number);
    const uint64_t before = numbers.looked_at();
    EXPECT_EQ(numbers.First(), number);
    EXPECT_LE(numbers.looked_at() - before, 2 * 3u);
    numbers.Remove(number);
  }
}

}  // namespace
}  // namespace morsel
