// Blocks that no root leads to are found, under both contracts, and what containers keep that a
// root leads to is not among them.
#include <gtest/gtest.h>

#include <cstdint>
#include <list>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "morsel/containers.hpp"
#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

namespace {

struct Node {
  Node* next = nullptr;
  uint64_t rest[4] = {};
};

class UnreachedTest : public testing::TestWithParam<uint32_t> {
 protected:
  UnreachedTest() {
    setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
    const bool is_fine = GetParam() == MORSEL_FINE;
    auto pool = morsel::Pool::open(
        scratch_.At("pool"), {.flags = MORSEL_CREATE | (is_fine ? unsigned{MORSEL_CARVED} : 0u),
                              .size_bytes = is_fine ? uint64_t{64} << 20 : 0});
    EXPECT_TRUE(pool) << morsel_last_error();
    pool_.emplace(std::move(*pool));
    Open();
  }
  ~UnreachedTest() override { EXPECT_TRUE(m_.close().ok()) << morsel_last_error(); }
  void Open() {
    auto opened = morsel::Morsel::open(*pool_, "m", {.flags = MORSEL_CREATE | GetParam()});
    ASSERT_TRUE(opened) << morsel_last_error();
    m_ = std::move(*opened);
  }
  void Reopen() {
    ASSERT_TRUE(m_.close().ok()) << morsel_last_error();
    Open();
  }
  Node* Make(Node* next) { return m_.make<Node>(Node{next}); }
  // A list of so many nodes; its last one leads to `end`.
  Node* List(int nodes, Node* end = nullptr) {
    for (int i = 0; i < nodes; ++i) end = Make(end);
    return end;
  }

  struct Found {
    std::set<void*> blocks;
    std::vector<std::pair<void*, uint64_t>> groups;  ///< the first one, and how many there are
    morsel_unreached_info info{};
  };
  Found Find() {
    Found found;
    uint64_t bytes = 0;
    uint64_t in_groups = 0;
    const auto info = m_.find_unreached([&](const morsel_unreached& one) {
      EXPECT_EQ(one.struct_size, sizeof one);
      EXPECT_TRUE(found.blocks.empty() || *found.blocks.rbegin() < one.block);
      found.blocks.insert(one.block);
      EXPECT_EQ(one.block_bytes, m_.usable_size(one.block));
      bytes += one.block_bytes;
      in_groups += one.group_blocks;
      EXPECT_EQ(one.is_first != 0, one.group_blocks != 0);
      if (one.is_first != 0) found.groups.emplace_back(one.block, one.group_blocks);
    });
    EXPECT_TRUE(info) << morsel_last_error();
    found.info = *info;
    EXPECT_EQ(found.info.blocks, found.blocks.size());
    EXPECT_EQ(found.info.blocks, in_groups);
    EXPECT_EQ(found.info.bytes, bytes);
    return found;
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  std::optional<morsel::Pool> pool_;
  morsel::Morsel m_;
};
INSTANTIATE_TEST_SUITE_P(Contracts, UnreachedTest, testing::Values(0u, unsigned{MORSEL_FINE}),
                         [](const auto& contract) { return contract.param ? "Fine" : "Snapshot"; });

TEST_P(UnreachedTest, ARootThatIsForgottenLeavesOneGroup) {
  EXPECT_EQ(Find().info.live_blocks, 0u);
  Node* const list = List(1000);
  ASSERT_TRUE(m_.set_root("list", list).ok());
  ASSERT_TRUE(m_.set_root("other", Make(nullptr)).ok());
  Found found = Find();
  EXPECT_EQ(found.info.live_blocks, 1001u);
  EXPECT_EQ(found.info.blocks, 0u);
  ASSERT_TRUE(m_.set_root("list", nullptr).ok());
  found = Find();
  EXPECT_EQ(found.info.blocks, 1000u);
  EXPECT_EQ(found.groups, (std::vector<std::pair<void*, uint64_t>>{{list, 1000}}));
  Reopen();
  found = Find();
  EXPECT_EQ(found.groups, (std::vector<std::pair<void*, uint64_t>>{{list, 1000}}));
  for (void* const block : found.blocks) m_.free(block);
  EXPECT_EQ(Find().info.blocks, 0u);
  EXPECT_EQ(Find().info.live_blocks, 1u);
}

// Each way to lead to a block, and some that are none.
TEST_P(UnreachedTest, AWordInABlockLeadsToIt) {
  auto* const words = static_cast<uint64_t*>(m_.calloc(8, sizeof(uint64_t)));
  ASSERT_TRUE(m_.set_root("words", words + 5).ok());
  const auto address = [](void* of) { return reinterpret_cast<uint64_t>(of); };
  Node* const of_member = Make(nullptr);
  Node* const tagged = Make(nullptr);
  void* const large = m_.malloc(700'000);
  words[0] = address(&of_member->rest[3]);
  words[1] = address(tagged) | 1;
  words[2] = address(large) + 600'000;
  EXPECT_EQ(Find().info.blocks, 0u);
  Node* const behind = Make(nullptr);
  words[3] = address(behind) + m_.usable_size(behind);
  words[4] = address(m_.resource());
  words[5] = address(m_.base());
  words[6] = ~uint64_t{0};
  words[7] = address(m_.base()) + m_.capacity() - 8;
  const Found found = Find();
  EXPECT_EQ(found.blocks, std::set<void*>{behind});
  EXPECT_EQ(found.info.live_blocks, 5u);
}

TEST_P(UnreachedTest, GroupsBeginWhereNothingLeadsToAndHaveEachBlockOnce) {
  Node* const shared = List(10);
  Node* const one = List(3, shared);
  Node* const other = List(4, shared);
  Node* const ring = List(5);
  Node* end = ring;
  while (end->next != nullptr) end = end->next;
  end->next = ring;
  Node* const itself = Make(nullptr);
  itself->next = itself;
  const Found found = Find();
  EXPECT_EQ(found.info.blocks, 23u);
  std::set<void*> first;
  std::multiset<uint64_t> sizes;
  for (const auto& [block, blocks] : found.groups) {
    first.insert(block);
    sizes.insert(blocks);
  }
  EXPECT_EQ(found.groups.size(), 4u);
  EXPECT_EQ(first.count(one) + first.count(other) + first.count(itself), 3u);
  EXPECT_TRUE(sizes == (std::multiset<uint64_t>{1, 3, 14, 5}) ||
              sizes == (std::multiset<uint64_t>{1, 13, 4, 5}));
}

TEST_P(UnreachedTest, WhatContainersKeepIsReached) {
  using Text = morsel::string;
  auto* const map = m_.find_or_make<morsel::map<Text, morsel::vector<Text>>>("map");
  auto* const table = m_.find_or_make<morsel::unordered_map<int, Text>>("table");
  auto* const deque = m_.find_or_make<morsel::deque<Text>>("deque");
  auto* const list = m_.find_or_make<std::list<int, morsel::Allocator<int>>>("list");
  ASSERT_TRUE(map && table && deque && list) << morsel_last_error();
  for (int i = 0; i < 2000; ++i) {
    const std::string text = std::to_string(i) + " is too long to lie in the string itself";
    (*map)[Text(text)].emplace_back(text);
    (*table)[i] = text;
    deque->emplace_back(text);
    if (i % 3 == 0) deque->pop_front();
    list->push_front(i);
  }
  Found found = Find();
  EXPECT_EQ(found.info.blocks, 0u);
  EXPECT_GT(found.info.live_blocks, 10'000u);
  Reopen();
  EXPECT_EQ(Find().info.blocks, 0u);
  // A free in the place of destroy() leaves its elements.
  m_.free(m_.root("deque"));
  ASSERT_TRUE(m_.set_root("deque", nullptr).ok());
  EXPECT_GT(Find().info.blocks, 1000u);
}

TEST_P(UnreachedTest, AVisitorMayStopAndMayFree) {
  List(3);
  const auto frees = [](const morsel_unreached* one, void* visits) {
    morsel_free(morsel_of(one->block), one->block);
    return ++*static_cast<int*>(visits) == 2 ? 1 : 0;
  };
  int visits = 0;
  morsel_unreached_info info{};
  EXPECT_EQ(morsel_find_unreached(m_.handle(), frees, &visits, &info), MORSEL_OK);
  EXPECT_EQ(visits, 2);
  EXPECT_EQ(info.struct_size, sizeof info);
  EXPECT_EQ(info.blocks, 3u);
  EXPECT_EQ(Find().info.blocks, 1u);
  info.struct_size = 8;
  EXPECT_EQ(morsel_find_unreached(m_.handle(), nullptr, nullptr, &info), MORSEL_INVALID_ARGUMENT);
}

}  // namespace
