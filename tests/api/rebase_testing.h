// What tests of moves begin with: an index of nested containers, which is looked up and changed
// after each move.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "morsel/containers.hpp"
#include "morsel/morsel.hpp"
#include "morsel/tools.h"
#include "os/testing/scratch_testing.h"

namespace rebase_testing {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;

using Names = morsel::map<morsel::string, morsel::vector<morsel::string>>;
using Index = morsel::unordered_map<morsel::string, morsel::list<Names>>;

inline std::string LongText(int number) {
  return "a text that is too long to lie in the string itself, number " + std::to_string(number);
}

inline void FillIndex(Index& index) {
  for (int i = 0; i < 40; ++i) {
    Names& names = index[morsel::string(LongText(i), index.get_allocator())].emplace_back();
    for (int n = 0; n < 10; ++n) {
      auto& texts = names[morsel::string(std::to_string(n), index.get_allocator())];
      for (int t = 0; t <= n; ++t) texts.emplace_back(LongText(t));
    }
  }
}

// Looks everything up, and changes each container.
inline void CheckIndex(Index& index) {
  ASSERT_EQ(index.size(), 40u);
  for (int i = 0; i < 40; ++i) {
    const auto found = index.find(morsel::string(LongText(i)));
    ASSERT_NE(found, index.end());
    ASSERT_EQ(found->second.size(), 1u);
    Names& names = found->second.front();
    ASSERT_EQ(names.size(), 10u);
    for (int n = 0; n < 10; ++n) {
      const auto texts = names.find(morsel::string(std::to_string(n)));
      ASSERT_NE(texts, names.end());
      ASSERT_EQ(texts->second.size(), static_cast<size_t>(n) + 1);
      for (int t = 0; t <= n; ++t) ASSERT_EQ(std::string(texts->second[t]), LongText(t));
      texts->second.emplace_back("one more");
      texts->second.pop_back();
    }
    names.erase(morsel::string("7"));
    names.try_emplace(morsel::string("7", index.get_allocator()));
    for (int t = 0; t <= 7; ++t) names[morsel::string("7")].emplace_back(LongText(t));
  }
}

class RebaseTest : public testing::Test {
 protected:
  morsel::Pool OpenPool(const std::string& path, uint32_t flags, uint64_t size_bytes = 0) {
    auto pool = morsel::Pool::open(path, {.flags = flags, .size_bytes = size_bytes});
    EXPECT_TRUE(pool) << morsel_last_error();
    return std::move(*pool);
  }
  morsel::Morsel Open(morsel::Pool& pool, const std::string& name,
                      const morsel::MorselOptions& options = {}) {
    auto m = morsel::Morsel::open(pool, name, options);
    EXPECT_TRUE(m) << morsel_last_error();
    return std::move(*m);
  }
  // Makes a morsel that has an index, and closes it.
  void MakeIndex(morsel::Pool& pool, const std::string& name, uint64_t capacity_bytes = 0,
                 uint32_t flags = 0) {
    morsel::Morsel m =
        Open(pool, name, {.flags = MORSEL_CREATE | flags, .capacity_bytes = capacity_bytes});
    Index* const index = m.make<Index>();
    ASSERT_NE(index, nullptr);
    FillIndex(*index);
    ASSERT_TRUE(m.set_root("index", index).ok());
    ASSERT_TRUE(m.close().ok());
  }
  void CheckIt(morsel::Pool& pool, const std::string& name) {
    {
      morsel::Morsel m = Open(pool, name);
      Index* const index = m.root<Index>("index");
      ASSERT_NE(index, nullptr) << morsel_last_error();
      CheckIndex(*index);
      ASSERT_TRUE(m.close().ok()) << morsel_last_error();
    }
    ExpectSound(pool);
  }
  static void ExpectSound(morsel::Pool& pool) {
    morsel_check_info info{};
    EXPECT_EQ(morsel_check(
                  pool.handle(), nullptr,
                  [](const morsel_finding* finding, void*) { ADD_FAILURE() << finding->message; },
                  nullptr, &info),
              MORSEL_OK);
    EXPECT_EQ(info.damages, 0u);
    EXPECT_EQ(info.obstacle, 0u);
  }
  struct Moved {
    morsel_code code;
    morsel_rebase_info info{};
    std::vector<std::string> doubts{};
  };
  static Moved Rebase(morsel::Pool& pool, const std::string& name,
                      morsel_rebase_options options = {}) {
    Moved moved{};
    options.struct_size = sizeof options;
    options.doubtful = [](const morsel_doubt* doubt, void* all) {
      EXPECT_EQ(doubt->struct_size, sizeof *doubt);
      static_cast<Moved*>(all)->doubts.emplace_back(doubt->message);
    };
    options.doubtful_context = &moved;
    moved.info.struct_size = sizeof moved.info;
    moved.code = morsel_rebase(pool.handle(), name.c_str(), &options, &moved.info);
    return moved;
  }
  static void* BaseOf(morsel::Pool& pool, const std::string& name) {
    morsel_info info{};
    info.struct_size = sizeof info;
    EXPECT_EQ(morsel_find(pool.handle(), name.c_str(), &info), MORSEL_OK) << morsel_last_error();
    return info.base;
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  morsel::Pool pool_ = OpenPool(scratch_.At("pool"), MORSEL_CREATE);
};

}  // namespace rebase_testing
