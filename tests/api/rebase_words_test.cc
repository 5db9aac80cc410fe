// Which words of a morsel are pointers, when it moves.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tests/api/rebase_testing.h"

struct Linked {
  uint64_t number;
  Linked* next;
};
template <>
struct morsel::Pointers<Linked> {
  static constexpr size_t offsets[] = {offsetof(Linked, next)};
};

namespace {

using namespace rebase_testing;

TEST_F(RebaseTest, EveryBlockKeepsItsBytes) {
  std::vector<uint64_t> offsets;
  {
    morsel::Morsel m = Open(pool_, "m", {.flags = MORSEL_CREATE, .capacity_bytes = 512 * kMiB});
    for (size_t size = 16; size <= 3 * kMiB; size += size / 8 + 8) {
      auto* const block = static_cast<void**>(m.malloc(size));
      auto* const freed = m.malloc(size);
      ASSERT_NE(block, nullptr);
      block[0] = block;
      block[1] = reinterpret_cast<void*>(size);
      m.free(freed);
      offsets.push_back(
          static_cast<uint64_t>(reinterpret_cast<char*>(block) - static_cast<char*>(m.base())));
    }
    ASSERT_TRUE(m.close().ok());
  }
  morsel_info info{};
  info.struct_size = sizeof info;
  ASSERT_EQ(morsel_find(pool_.handle(), "m", &info), MORSEL_OK) << morsel_last_error();
  for (const uint64_t capacity_bytes : {kGiB, 3 * kGiB}) {
    morsel_rebase_options options{};
    options.capacity_bytes = capacity_bytes;
    const Moved moved = Rebase(pool_, "m", options);
    ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
    EXPECT_GE(moved.info.words, offsets.size());
    ExpectSound(pool_);
    morsel::Morsel m = Open(pool_, "m");
    // Blocks move inside of it by what it has grown.
    const uint64_t shift = moved.info.size_bytes - info.size_bytes;
    EXPECT_EQ(shift != 0, capacity_bytes == kGiB);
    info.size_bytes = moved.info.size_bytes;
    for (uint64_t& offset : offsets) {
      offset += shift;
      auto* const block = reinterpret_cast<void**>(static_cast<char*>(m.base()) + offset);
      ASSERT_EQ(block[0], block);
      ASSERT_GE(m.usable_size(block), reinterpret_cast<size_t>(block[1]));
    }
    ASSERT_TRUE(m.discard().ok());
  }
  morsel::Morsel m = Open(pool_, "m");
  for (const uint64_t offset : offsets) m.free(static_cast<char*>(m.base()) + offset);
  EXPECT_EQ(m.stat()->live_bytes, 0u);
}

// What lies beside a small number, in padding that nobody writes, may be half of an address. The
// pools have no registry here, so that addresses depend on random ids.
TEST_F(RebaseTest, ANumberInALowerHalfStaysWhatItIs) {
  constexpr uint32_t kNumbers = 1000;
  int each = 0;
  for (const uint64_t capacity_bytes : {64 * kMiB, kGiB, 16 * kGiB}) {
    for (int morsels = 0; morsels < 4; ++morsels) {
      const std::string name = std::to_string(each++);
      {
        morsel::Morsel m =
            Open(pool_, name, {.flags = MORSEL_CREATE, .capacity_bytes = capacity_bytes});
        auto* const words = static_cast<uint64_t*>(m.malloc(kNumbers * sizeof(uint64_t)));
        ASSERT_NE(words, nullptr);
        const uint64_t base = reinterpret_cast<uint64_t>(m.base());
        for (uint32_t i = 0; i < kNumbers; ++i) {
          const uint64_t in_it = (base + capacity_bytes / 2) >> 32 << 32;
          words[i] = (i % 2 == 0 ? base >> 32 << 32 : in_it) | i;
        }
        ASSERT_TRUE(m.set_root("words", words).ok());
        ASSERT_TRUE(m.close().ok());
      }
      const Moved moved = Rebase(pool_, name);
      ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
      morsel::Morsel m = Open(pool_, name);
      const auto* const words = static_cast<const uint64_t*>(m.root("words"));
      ASSERT_NE(words, nullptr);
      for (uint32_t i = 0; i < kNumbers; ++i) ASSERT_EQ(static_cast<uint32_t>(words[i]), i);
      ASSERT_TRUE(m.discard().ok());
    }
  }
}

// Of a block in which texts take the place of pointers only a part is written, the zero that ends
// a text among it.
TEST_F(RebaseTest, TextOverAnOldPointerStaysWhatItIs) {
  constexpr int kTexts = 64;
  {
    morsel::Morsel m =
        Open(pool_, "m", {.flags = MORSEL_CREATE, .capacity_bytes = uint64_t{1} << 40});
    auto** const words = static_cast<void**>(m.malloc(kTexts * sizeof(void*)));
    for (int i = 0; i < kTexts; ++i) {
      words[i] = m.resource();
      std::snprintf(reinterpret_cast<char*>(words + i), sizeof(void*), "%0*d", i % 7, i);
    }
    ASSERT_TRUE(m.set_root("words", words).ok());
    ASSERT_TRUE(m.close().ok());
  }
  // By what is no multiple of 4 GiB.
  morsel_rebase_options options{};
  options.base = static_cast<char*>(BaseOf(pool_, "m")) + kGiB;
  ASSERT_EQ(Rebase(pool_, "m", options).code, MORSEL_OK) << morsel_last_error();
  morsel::Morsel m = Open(pool_, "m");
  auto** const words = m.root<void*>("words");
  ASSERT_NE(words, nullptr);
  for (int i = 0; i < kTexts; ++i) {
    char text[sizeof(void*)];
    std::snprintf(text, sizeof text, "%0*d", i % 7, i);
    EXPECT_STREQ(reinterpret_cast<const char*>(words + i), text);
  }
}

TEST_F(RebaseTest, ExactlyThePointersOfAKnownTypeChange) {
  uint64_t number = 0;
  {
    morsel::Morsel m = Open(pool_, "m", {.flags = MORSEL_CREATE});
    Linked* const first = m.make<Linked>();
    Linked* const second = m.make<Linked>();
    number = reinterpret_cast<uint64_t>(second);  // it looks like a pointer, and is none
    *first = {number, second};
    *second = {number, nullptr};
    ASSERT_TRUE(m.set_root("first", first).ok());
    ASSERT_TRUE(m.close().ok());
  }
  const auto info = morsel::rebase<Linked>(pool_, "m");
  ASSERT_TRUE(info) << morsel_last_error();
  EXPECT_EQ(info->exact, 1u);
  morsel::Morsel m = Open(pool_, "m");
  const Linked* const first = m.root<Linked>("first");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->number, number);
  EXPECT_EQ(reinterpret_cast<uint64_t>(first->next) - reinterpret_cast<uint64_t>(m.base()),
            number - reinterpret_cast<uint64_t>(info->base_before));
  // No root says what the second one is.
  EXPECT_EQ(first->next->number, reinterpret_cast<uint64_t>(first->next));
}

TEST_F(RebaseTest, WhatLeadsToNoBlockIsToldAndLeftAsItIs) {
  char* before_base = nullptr;
  {
    morsel::Morsel m = Open(pool_, "m", {.flags = MORSEL_CREATE});
    auto** const words = static_cast<char**>(m.malloc(6 * sizeof(char*)));
    char* const base = before_base = static_cast<char*>(m.base());
    words[0] = base;                                   // of an Allocator
    words[1] = reinterpret_cast<char*>(m.resource());  // of std::pmr
    words[2] = reinterpret_cast<char*>(words + 6);     // the end of a vector
    words[3] = base + 100;                             // into the heap's own tables
    words[4] = base + m.size() + 4096;                 // behind the end
    words[5] = reinterpret_cast<char*>(words) + 1;     // with a tag
    ASSERT_TRUE(m.set_root("words", words).ok());
    auto* const hashed = m.make<morsel::unordered_set<char*>>();
    hashed->insert(reinterpret_cast<char*>(words));
    ASSERT_TRUE(m.set_root("hashed", hashed).ok());
    auto* const sorted = m.make<morsel::set<char*>>();
    sorted->insert(reinterpret_cast<char*>(words));
    ASSERT_TRUE(m.set_root("sorted", sorted).ok());
    ASSERT_TRUE(m.close().ok());
  }
  morsel_rebase_options dry{};
  dry.flags = MORSEL_DRY_RUN;
  const std::string before = morsel::os::BytesOf(scratch_.At("pool/m"));
  const Moved would_be = Rebase(pool_, "m", dry);
  EXPECT_EQ(would_be.info.base, nullptr);
  EXPECT_EQ(morsel::os::BytesOf(scratch_.At("pool/m")), before);
  const Moved moved = Rebase(pool_, "m");
  EXPECT_EQ(moved.doubts, would_be.doubts);
  EXPECT_EQ(moved.info.words, would_be.info.words);
  ASSERT_EQ(moved.doubts.size(), 3u);
  EXPECT_EQ(moved.info.doubtful, 3u);
  EXPECT_NE(moved.doubts[0].find("'hashed'"), std::string::npos) << moved.doubts[0];
  EXPECT_NE(moved.doubts[0].find("std::hash<char*>"), std::string::npos) << moved.doubts[0];
  EXPECT_NE(moved.doubts[1].find("offset 24 "), std::string::npos) << moved.doubts[1];
  EXPECT_NE(moved.doubts[2].find("offset 32 "), std::string::npos) << moved.doubts[2];
  morsel::Morsel m = Open(pool_, "m");
  auto** const words = m.root<char*>("words");
  EXPECT_EQ(words[0], m.base());
  EXPECT_EQ(words[1], reinterpret_cast<char*>(m.resource()));
  EXPECT_EQ(words[2], reinterpret_cast<char*>(words + 6));
  EXPECT_EQ(words[3], before_base + 100);
  EXPECT_EQ(words[4], before_base + m.size() + 4096);
  EXPECT_EQ(words[5], reinterpret_cast<char*>(words) + 1);
  EXPECT_EQ(m.root<morsel::set<char*>>("sorted")->count(reinterpret_cast<char*>(words)), 1u);
}

// Tables whose keys have pointers, whichever hash function they have. A set is in order after a
// move.
TEST_F(RebaseTest, TablesOfPointersAreTold) {
  struct OwnHash {
    size_t operator()(const void* key) const { return reinterpret_cast<size_t>(key) >> 4; }
    size_t operator()(const std::pair<char*, int>& key) const { return (*this)(key.first); }
  };
  {
    morsel::Morsel m = Open(pool_, "m", {.flags = MORSEL_CREATE});
    using OfPairs = morsel::unordered_map<std::pair<char*, int>, int, OwnHash>;
    using Value = morsel::unordered_map<int, std::pair<int, char*>>;
    using Inner = morsel::vector<morsel::unordered_multiset<int*, OwnHash>>;
    using Own = morsel::unordered_set<char*, OwnHash>;
    EXPECT_NE(m.find_or_make<Own>("own"), nullptr);
    EXPECT_NE(m.find_or_make<OfPairs>("pairs"), nullptr);
    EXPECT_NE(m.find_or_make<morsel::unordered_set<std::optional<int*>>>("perhaps"), nullptr);
    EXPECT_NE(m.find_or_make<Inner>("in a vector"), nullptr);
    EXPECT_NE(m.find_or_make<Value>("value"), nullptr);
    EXPECT_NE(m.find_or_make<morsel::unordered_set<morsel::string>>("texts"), nullptr);
    using Sorted = morsel::set<std::pair<char*, int>>;
    EXPECT_NE(m.find_or_make<Sorted>("sorted"), nullptr);
    ASSERT_TRUE(m.close().ok());
  }
  std::set<std::string> told;
  for (const std::string& doubt : Rebase(pool_, "m").doubts) {
    const size_t begin = doubt.find('\'') + 1;
    told.insert(doubt.substr(begin, doubt.find('\'', begin) - begin));
    EXPECT_NE(doubt.find(": make it anew"), std::string::npos) << doubt;
  }
  EXPECT_EQ(told, (std::set<std::string>{"own", "pairs", "perhaps", "in a vector"}));
}

TEST_F(RebaseTest, WrongPointersAreRefused) {
  MakeIndex(pool_, "m");
  morsel_type type{};
  type.struct_size = sizeof type;
  type.size = 16;
  type.alignment = 8;
  size_t offset = 12;
  morsel_pointers pointers = {sizeof pointers, 0, &type, &offset, 1};
  const morsel_pointers* all[] = {&pointers};
  morsel_rebase_options options{};
  options.pointers = all;
  options.pointers_count = 1;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
  offset = 16;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
  offset = 8;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_OK) << morsel_last_error();
  pointers.type = nullptr;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
  options.pointers = nullptr;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
}

}  // namespace
