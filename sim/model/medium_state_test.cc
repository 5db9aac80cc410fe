#include "sim/model/medium_state.h"

#include <gtest/gtest.h>

#include <set>

#include "sim/model/image_choices.h"

namespace morsel::sim {
namespace {

constexpr uint8_t kOne = 1;
constexpr uint8_t kOther = 2;

class MediumStateTest : public testing::Test {
 protected:
  void Store(uint64_t word, uint64_t value, uint8_t thread = kOne) {
    Apply({Event::Kind::kStore, thread, word, value, nullptr});
  }
  void Flush(LineNumber line, uint8_t thread = kOne) {
    Apply({Event::Kind::kFlush, thread, line, 1, nullptr});
  }
  void Fence(uint8_t thread = kOne) { Apply({Event::Kind::kFence, thread, 0, 0, nullptr}); }
  void Apply(const Event& event) {
    static constexpr Line kZero{};
    state_.Apply(event, [](LineNumber) -> const Line& { return kZero; });
  }

  /// What word 0 of line 0 and word 0 of line 1 are in each image.
  std::multiset<std::pair<uint64_t, uint64_t>> Images(uint64_t images_max = 4096) {
    std::multiset<std::pair<uint64_t, uint64_t>> images;
    ForEachChoice(state_, std::nullopt, images_max, random_, [&](const Choice& choice) {
      Image image = state_.After(choice);
      images.emplace(image[0][0], image[1][0]);
      return true;
    });
    return images;
  }

  MediumState state_;
  std::mt19937_64 random_{1};
};

TEST_F(MediumStateTest, LinesBecomeDurableInAnyOrderStoresOfALineInProgramOrder) {
  Store(0, 1);
  Store(8, 2);
  Store(0, 3);
  EXPECT_EQ(Images(), (std::multiset<std::pair<uint64_t, uint64_t>>{
                          {0, 0}, {0, 2}, {1, 0}, {1, 2}, {3, 0}, {3, 2}}));
}

TEST_F(MediumStateTest, AFenceDecidesWhatItsThreadFlushed) {
  Store(0, 1);
  Flush(0);
  EXPECT_EQ(Images().size(), 2u);
  Fence(kOther);
  EXPECT_EQ(Images().size(), 2u);
  Fence(kOne);
  EXPECT_EQ(Images(), (std::multiset<std::pair<uint64_t, uint64_t>>{{1, 0}}));
}

TEST_F(MediumStateTest, AFlushCoversNoLaterStore) {
  Store(0, 1);
  Flush(0);
  Store(0, 2);
  Fence();
  EXPECT_EQ(Images(), (std::multiset<std::pair<uint64_t, uint64_t>>{{1, 0}, {2, 0}}));
}

TEST_F(MediumStateTest, AFlushFromBeforeALineWasDecidedDoesNotCoverLaterStores) {
  Store(0, 1);
  Flush(0, kOne);
  Flush(0, kOther);
  Fence(kOther);
  Store(0, 2);
  Fence(kOne);
  EXPECT_EQ(Images(), (std::multiset<std::pair<uint64_t, uint64_t>>{{1, 0}, {2, 0}}));
}

TEST_F(MediumStateTest, AFenceAfterAKillDoesNotCoverFlushesOfTheKilledProcess) {
  Store(0, 1);
  Flush(0);
  state_.Kill();
  Fence();
  EXPECT_EQ(Images().size(), 2u);
  EXPECT_EQ(state_.Visible()[0][0], 1u);
}

TEST_F(MediumStateTest, VisitsEqualImagesOnce) {
  Store(0, 1);
  Store(0, 0);
  EXPECT_EQ(Images(), (std::multiset<std::pair<uint64_t, uint64_t>>{{0, 0}, {1, 0}}));
}

TEST_F(MediumStateTest, TheExtremesComeBeforeASample) {
  for (LineNumber line = 0; line < 20; ++line) Store(line * kWordsPerLine, 1);
  std::multiset<size_t> kept;
  ForEachChoice(state_, std::nullopt, 64, random_, [&](const Choice& choice) {
    size_t count = 0;
    for (const size_t stores : choice) count += stores;
    kept.insert(count);
    return true;
  });
  EXPECT_EQ(kept.size(), 64u);
  EXPECT_EQ(kept.count(0), 1u);
  EXPECT_EQ(kept.count(20), 1u);
  EXPECT_GE(kept.count(1), 20u);
  EXPECT_GE(kept.count(19), 20u);
}

}  // namespace
}  // namespace morsel::sim
