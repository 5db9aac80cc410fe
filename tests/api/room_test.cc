// Where a morsel has no room: at its end, in the window, at an address.
#include <gtest/gtest.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"
#include "os/testing/variable_testing.h"

namespace {

// Set before main(), so that libpmem2 finds it whenever it looks.
const bool kGranularityIsForced = setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1) == 0;

uint32_t Flags(bool fine) { return MORSEL_CREATE | (fine ? uint32_t{MORSEL_FINE} : 0); }

class RoomTest : public testing::Test {
 protected:
  morsel::Pool Open(bool carved) {
    const morsel::PoolOptions in_a_file = {.flags = MORSEL_CREATE | MORSEL_CARVED,
                                           .size_bytes = 64 << 20};
    auto pool = carved ? morsel::Pool::open(scratch_.At("carved"), in_a_file)
                       : morsel::Pool::open(scratch_.At("directory"), {.flags = MORSEL_CREATE});
    EXPECT_TRUE(pool) << morsel::last_error();
    return std::move(*pool);
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
};

TEST_F(RoomTest, AMorselThatCannotShrinkNamesTheBlockAtItsEnd) {
  for (const bool fine : {false, true}) {
    SCOPED_TRACE(fine ? "fine" : "snapshot");
    morsel::Pool pool = Open(fine);
    morsel::Morsel m = *morsel::Morsel::open(
        pool, "sized", {.flags = Flags(fine), .size_bytes = 24 << 20, .capacity_bytes = 32 << 20});
    std::vector<void*> blocks;
    for (int i = 0; i < 4; ++i) blocks.push_back(m.malloc(4 << 20));
    ASSERT_NE(blocks.back(), nullptr) << morsel::last_error();
    std::sort(blocks.begin(), blocks.end());
    const auto end_of = [&](void* block) {
      const uint64_t end = static_cast<char*>(block) + (4 << 20) - static_cast<char*>(m.base());
      return (end + (2 << 20) - 1) >> 21 << 21;
    };
    const auto expect_busy = [&](void* last, const std::string& how_many) {
      EXPECT_EQ(m.resize(2 << 20).code(), morsel::Code::kBusy);
      std::ostringstream words;
      words << "a block of 4194304 bytes at " << last << how_many << " is in use";
      const std::string message = morsel::last_error();
      EXPECT_NE(message.find(words.str()), std::string::npos) << message;
      const std::string possible = "ask for " + std::to_string(end_of(last) >> 20) + " MiB";
      EXPECT_NE(message.find(possible), std::string::npos) << message;
    };
    expect_busy(blocks[3], ", the last of 4 there,");
    // All of it is as it was, to its end.
    EXPECT_EQ(m.size(), 24u << 20);
    std::memset(blocks[3], 1, 4 << 20);
    m.free(blocks[3]);
    m.free(blocks[1]);
    expect_busy(blocks[2], ", the last of 2 there,");
    m.free(blocks[0]);
    expect_busy(blocks[2], "");
    ASSERT_TRUE(m.resize(end_of(blocks[2])).ok()) << morsel::last_error();
    EXPECT_EQ(m.size(), end_of(blocks[2]));
    // Now nothing smaller is possible.
    EXPECT_EQ(m.resize(2 << 20).code(), morsel::Code::kBusy);
    EXPECT_EQ(std::string(morsel::last_error()).find("ask for"), std::string::npos)
        << morsel::last_error();
    m.free(blocks[2]);
    ASSERT_TRUE(m.resize(2 << 20).ok()) << morsel::last_error();
    ASSERT_TRUE(m.close().ok()) << morsel::last_error();
  }
}

// Roots lie in the heap, too, and who has not allocated them should know.
TEST_F(RoomTest, AMorselThatCannotShrinkSaysThatARootIsInTheWay) {
  morsel::Pool pool = Open(false);
  morsel::Morsel m =
      *morsel::Morsel::open(pool, "rooted", {.flags = Flags(false), .size_bytes = 4 << 20});
  // Only the end has room for the record.
  std::vector<void*> blocks;
  for (void* block = m.malloc(60 << 10); block != nullptr; block = m.malloc(60 << 10)) {
    blocks.push_back(block);
  }
  std::sort(blocks.begin(), blocks.end());
  m.free(blocks.back());
  ASSERT_TRUE(m.set_root("r", blocks.front()).ok()) << morsel::last_error();
  blocks.pop_back();
  while (blocks.size() > 1) {
    m.free(blocks.back());
    blocks.pop_back();
  }
  EXPECT_EQ(m.resize(2 << 20).code(), morsel::Code::kBusy);
  const std::string message = morsel::last_error();
  EXPECT_NE(message.find("keeps a root"), std::string::npos) << message;
  ASSERT_TRUE(m.set_root("r", nullptr).ok());
  EXPECT_TRUE(m.resize(2 << 20).ok()) << morsel::last_error();
}

// Morsels of a capacity that nobody has asked for fill the window to its last piece.
TEST_F(RoomTest, AMorselWithoutACapacityGetsALessOneWhereNoLargerOneFits) {
  // A sanitizer leaves a part of the addresses, which the variable says then.
  const char* const set = std::getenv("MORSEL_WINDOW");
  const uint64_t begin = set == nullptr ? 0x160000000000 : std::stoull(set, nullptr, 16);
  char window[64];
  std::snprintf(window, sizeof window, "%" PRIx64 "-%" PRIx64, begin, begin + (uint64_t{8} << 30));
  const morsel::os::Variable variable("MORSEL_WINDOW", window);
  morsel::Pool pool = Open(false);
  uint64_t capacity_bytes = 0;
  int made = 0;
  for (;; ++made) {
    const auto m = morsel::Morsel::open(pool, std::to_string(made), {.flags = MORSEL_CREATE});
    if (!m) break;
    morsel_info info{};
    info.struct_size = sizeof info;
    ASSERT_EQ(morsel_stat(m->handle(), &info), MORSEL_OK);
    capacity_bytes = info.capacity_bytes;
    if (made == 0) {
      EXPECT_GE(capacity_bytes, uint64_t{4} << 30);
    }
  }
  EXPECT_EQ(capacity_bytes, uint64_t{64} << 20);
  EXPECT_GE(made, 10);
  EXPECT_NE(std::string(morsel::last_error()).find("has no room for"), std::string::npos)
      << morsel::last_error();
  // Who asks for one gets that or none.
  EXPECT_EQ(morsel::Morsel::open(pool, "large",
                                 {.flags = MORSEL_CREATE, .capacity_bytes = uint64_t{1} << 30})
                .error(),
            morsel::Code::kAddressExhausted);
}

// Of two pools of one host, whose registry knows them.
TEST_F(RoomTest, NoMorselIsMovedToAddressesOfAnotherPool) {
  setenv("MORSEL_ADDRESSES", scratch_.At("addresses").c_str(), 1);
  const morsel::MorselOptions make = {.flags = MORSEL_CREATE, .capacity_bytes = 64 << 20};
  {
    morsel::Pool other = *morsel::Pool::open(scratch_.At("other"), {.flags = MORSEL_CREATE});
    morsel::Morsel theirs = *morsel::Morsel::open(other, "theirs", make);
    morsel::Pool pool = Open(false);
    morsel::Morsel ours = *morsel::Morsel::open(pool, "ours", make);
    void* const own = ours.base();
    void* const taken = theirs.base();
    ASSERT_TRUE(ours.close().ok() && theirs.close().ok());
    for (const uint32_t flags : {0u, uint32_t{MORSEL_DRY_RUN}}) {
      morsel_rebase_options to{};
      to.struct_size = sizeof to;
      to.flags = flags;
      to.base = taken;
      for (const auto call : {+[](morsel_pool_t*in, const morsel_rebase_options*how) {
                                return morsel_rebase(in, "ours", how, nullptr);
                              },
                              +[](morsel_pool_t*in, const morsel_rebase_options*how) {
                                return morsel_copy(in, "ours", "copy", how, nullptr);
                              }}) {
        EXPECT_EQ(call(pool.handle(), &to), MORSEL_ADDRESS_TAKEN);
        const std::string message = morsel::last_error();
        EXPECT_NE(message.find("pool '" + scratch_.At("other") + "'"), std::string::npos)
            << message;
      }
      // Its own are no other's.
      to.base = own;
      EXPECT_EQ(morsel_rebase(pool.handle(), "ours", &to, nullptr), MORSEL_OK)
          << morsel::last_error();
    }
    ASSERT_TRUE(other.close().ok());
    std::filesystem::remove_all(scratch_.At("other"));
    morsel_rebase_options to{};
    to.struct_size = sizeof to;
    to.base = taken;
    EXPECT_EQ(morsel_rebase(pool.handle(), "ours", &to, nullptr), MORSEL_OK)
        << morsel::last_error();
  }
  setenv("MORSEL_ADDRESSES", "", 1);
}

}  // namespace
