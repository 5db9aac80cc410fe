// morselctl addr: which pools of the host have which addresses.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "morsel/morsel.hpp"
#include "tests/cli/tool_testing.h"

namespace morsel::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class AddrTest : public ToolTest {
 protected:
  void SetUp() override {
    ToolTest::SetUp();
    setenv("MORSEL_ADDRESSES", scratch_.At("addresses").c_str(), 1);
  }
  void TearDown() override { unsetenv("MORSEL_ADDRESSES"); }

  static uint64_t Number(const json& address) {
    return std::stoull(address.get<std::string>(), nullptr, 16);
  }
  // Begin and end of each range, by address.
  std::vector<std::pair<uint64_t, uint64_t>> Ranges(const json& addresses) const {
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    for (const json& pool : addresses.at("pools")) {
      for (const json& range : pool.at("ranges")) {
        const uint64_t base = Number(range.at("base"));
        ranges.emplace_back(base, base + range.at("size_bytes").get<uint64_t>());
      }
    }
    std::sort(ranges.begin(), ranges.end());
    return ranges;
  }
};

TEST_F(AddrTest, PoolsOfBothKindsHaveAddressesOfTheirOwn) {
  Fails({"addr"}, 13, {"no registry", "the first morsel"});
  Succeeds({"create", pool_});
  Succeeds({"create", carved_, "--carved", "--size", "64M"});
  for (int i = 0; i < 3; ++i) {
    Succeeds({"create", pool_, "m" + std::to_string(i), "--capacity", "64M"});
    Succeeds({"create", carved_, "m" + std::to_string(i), "--fine", "--size", "2M", "--capacity",
              "64M"});
  }
  const json addresses = RunJson({"addr"});
  EXPECT_EQ(addresses["registry"], scratch_.At("addresses"));
  ASSERT_EQ(addresses["pools"].size(), 2u);
  uint64_t bytes = 0;
  uint64_t before = 0;
  for (const auto& [begin, end] : Ranges(addresses)) {
    EXPECT_GE(begin, before);
    before = end;
    bytes += end - begin;
  }
  EXPECT_EQ(bytes, 6 * 5 * (16 << 20));
  for (const json& pool : addresses["pools"]) {
    EXPECT_TRUE(pool["pool"] == pool_ || pool["pool"] == carved_) << pool;
    EXPECT_EQ(pool["missing"], false);
  }
  const std::string text = Run({"addr"}).out;
  EXPECT_NE(text.find(pool_), std::string::npos) << text;
  EXPECT_NE(text.find("240 MiB"), std::string::npos) << text;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (text[begin] == '|') {
      EXPECT_EQ(end - begin, 66u);
    }
    begin = end + 1;
  }
}

TEST_F(AddrTest, WhatIsRemovedIsFree) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  const uint64_t free = RunJson({"addr"})["free_bytes"];
  Succeeds({"rm", pool_, "a", "--yes"});
  EXPECT_GT(RunJson({"addr"})["free_bytes"], free);
  Succeeds({"create", pool_, "b"});
  fs::remove_all(pool_);
  EXPECT_EQ(RunJson({"addr"})["pools"], json::array());
}

// As tests do it with their pools.
TEST_F(AddrTest, WhatAPoolHadIsFreeWhenAnotherIsMadeUnderItsPath) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  // So large that two have room at once, and not those of all rounds. A capacity takes a quarter
  // more of the addresses.
  const std::string capacity =
      std::to_string(RunJson({"addr"})["free_bytes"].get<uint64_t>() / 4 >> 30) + "G";
  fs::remove_all(pool_);
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    Succeeds({"create", pool_});
    Succeeds({"create", carved_, "--carved", "--size", "64M"});
    if (round > 0) {
      EXPECT_EQ(RunJson({"addr"})["pools"], json::array());
    }
    Succeeds({"create", pool_, "a", "--capacity", capacity});
    Succeeds({"create", carved_, "a", "--fine", "--size", "2M", "--capacity", capacity});
    EXPECT_EQ(RunJson({"addr"})["pools"].size(), 2u);
    fs::remove(carved_);
    if (round == 0) fs::remove_all(pool_);
    for (const char* name : {"a", ".morsel-pool", ".morsel-lock"}) {
      fs::remove(pool_ + "/" + name);
    }
  }
}

// Not by the tool: it makes a pool and a morsel in two processes.
TEST_F(AddrTest, WhoMakesAPoolAndWhoOpensAMorselHasItsAddresses) {
  const auto open = [](const std::string& path, const morsel::PoolOptions& pool_options,
                       const morsel::MorselOptions& options) {
    auto pool = morsel::Pool::open(path, pool_options);
    ASSERT_TRUE(pool) << morsel::last_error();
    const auto m = morsel::Morsel::open(*pool, "m", options);
    ASSERT_TRUE(m) << morsel::last_error();
  };
  constexpr uint64_t kBytes = 2 << 20;
  open(pool_, {.flags = MORSEL_CREATE}, {.flags = MORSEL_CREATE, .size_bytes = kBytes});
  open(carved_, {.flags = MORSEL_CREATE | MORSEL_CARVED, .size_bytes = 32 * kBytes},
       {.flags = MORSEL_CREATE | MORSEL_FINE, .size_bytes = kBytes});
  EXPECT_EQ(RunJson({"addr"})["pools"].size(), 2u);
  Succeeds({"create", scratch_.At("third")});
  fs::remove(scratch_.At("addresses"));
  Succeeds({"create", scratch_.At("third"), "m"});  // makes the registry anew
  open(pool_, {}, {});
  open(carved_, {}, {});
  EXPECT_EQ(RunJson({"addr"})["pools"].size(), 3u);
}

TEST_F(AddrTest, OnlyForUsersThatThereAre) {
  Fails({"addr", "--user", "nobody of that name"}, 13, {"no user"});
}

}  // namespace
}  // namespace morsel::cli
