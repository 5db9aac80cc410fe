#include "morsel/roots/root_trie.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "morsel/roots/beside_writer.h"
#include "morsel/roots/root_trie_testing.h"

namespace morsel {
namespace {

struct RootTrieTest : testing::Test {
  void* Found(std::string_view name) {
    const Result<const RootRecord*> record = trie.Find(name);
    EXPECT_TRUE(record) << LastError();
    return !record || *record == nullptr ? nullptr : reinterpret_cast<void*>((*record)->object);
  }
  Code Sets(const std::string& name, void* object, const RootType& type = {}) {
    return trie.Set(name, object, type).code();
  }
  bool Forgets(const std::string& name) { return IsTrue(trie.Forget(name)); }
  static bool IsTrue(const Result<bool>& result) { return alloc::IsTrue(result); }
  uint64_t Blocks() {
    uint64_t blocks = 0;
    EXPECT_TRUE(trie.ForEach([&](const RootTrie::Found&) { ++blocks; }).ok()) << LastError();
    return blocks;
  }

  TrieHeap heap;
  RootTrie trie{heap.heap(), HashThatNameSays};
  void* const a = heap.Object();
  void* const b = heap.Object();
};

TEST_F(RootTrieTest, FindReturnsWhatSetHasSet) {
  EXPECT_EQ(Found("a"), nullptr);
  EXPECT_EQ(Sets("a", a), Code::kOk);
  EXPECT_EQ(Sets("b", b), Code::kOk);
  EXPECT_EQ(Found("a"), a);
  EXPECT_EQ(Found("b"), b);
  EXPECT_EQ(Sets("a", b), Code::kOk);
  EXPECT_EQ(Found("a"), b);
  EXPECT_TRUE(Forgets("a"));
  EXPECT_EQ(Found("a"), nullptr);
  EXPECT_FALSE(Forgets("a"));
  EXPECT_EQ(Found("b"), b);
}

// Each word of the model is a name whose hash differs from some others' only in few bits, so that
// nodes lie as deep as they can, and chains form.
TEST_F(RootTrieTest, ItIsAsAMapIs) {
  const uint64_t seed = TestSeed(1);
  std::mt19937_64 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  const uint64_t before = heap.LiveBytes();
  std::map<std::string, std::pair<void*, uint32_t>> model;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t hash = uint64_t{0x1234} << 48 | uint64_t{random() % 2} << (random() % 16 * 4);
    char name[32];
    std::snprintf(name, sizeof name, "%llx.%d", static_cast<unsigned long long>(hash),
                  static_cast<int>(random() % 3));
    if (random() % 3 == 0) {
      ASSERT_EQ(Forgets(name), model.erase(name) > 0) << name;
    } else {
      const uint32_t layout = static_cast<uint32_t>(random() % 2);
      const RootType type = {8, 8, layout, kRootTyped, "T"};
      void* const object = random() % 2 == 0 ? a : b;
      ASSERT_EQ(Sets(name, object, type), Code::kOk) << LastError();
      model[name] = {object, layout};
    }
    if (step % 100 != 0) continue;
    std::map<std::string, std::pair<void*, uint32_t>> seen;
    ASSERT_TRUE(trie.ForEach([&](const RootTrie::Found& found) {
                      EXPECT_FALSE(found.is_misplaced);
                      if (found.record == nullptr) return;
                      const std::string of(found.record->name(), found.record->name_bytes);
                      EXPECT_TRUE(
                          seen.emplace(of, std::pair(reinterpret_cast<void*>(found.record->object),
                                                     found.record->layout))
                              .second);
                    })
                    .ok());
    ASSERT_EQ(seen, model) << step;
    for (const auto& [of, is] : model) ASSERT_EQ(Found(of), is.first);
  }
  while (!model.empty()) {
    ASSERT_TRUE(Forgets(model.begin()->first));
    model.erase(model.begin());
  }
  EXPECT_EQ(heap.LiveBytes(), before);
}

TEST_F(RootTrieTest, HashesThatDifferInTheirLastBitsLieAsDeepAsNodesGo) {
  EXPECT_EQ(Sets("0.a", a), Code::kOk);
  EXPECT_EQ(Sets("8000000000000000.b", b), Code::kOk);
  EXPECT_EQ(Blocks(), 2 + kRootDepthMax);
  EXPECT_EQ(Found("0.a"), a);
  EXPECT_EQ(Found("8000000000000000.b"), b);
  EXPECT_TRUE(Forgets("0.a"));
  EXPECT_TRUE(Forgets("8000000000000000.b"));
  EXPECT_EQ(Blocks(), 0u);
}

TEST_F(RootTrieTest, ChainsAreBounded) {
  for (int i = 0; i < kRootChainMax; ++i) {
    ASSERT_EQ(Sets("7." + std::to_string(i), a), Code::kOk) << LastError();
  }
  const uint64_t before = heap.LiveBytes();
  EXPECT_EQ(Sets("7.one more", a), Code::kNoSpace);
  EXPECT_EQ(heap.LiveBytes(), before);
  EXPECT_TRUE(Forgets("7.40"));
  EXPECT_EQ(Sets("7.one more", b), Code::kOk);
  EXPECT_EQ(Found("7.one more"), b);
  EXPECT_EQ(Found("7.0"), a);
}

TEST_F(RootTrieTest, ARootThatFindsNoRoomChangesNothing) {
  const uint64_t before = heap.LiveBytes();
  ASSERT_EQ(Sets("0.a", a), Code::kOk);
  // One block after the other is left of each class, so that each allocation of a Set() fails once.
  std::vector<void*> taken;
  for (const uint64_t bytes : {uint64_t{1} << 20, uint64_t{65'536}, uint64_t{1024}, uint64_t{16}}) {
    while (const auto block = heap.heap().Allocate(bytes, 16)) taken.push_back(*block);
  }
  int failures = 0;
  for (Code code = Code::kNoSpace; code == Code::kNoSpace && !taken.empty();) {
    code = Sets("8000000000000000.b", b);
    if (code == Code::kOk) break;
    ASSERT_EQ(code, Code::kNoSpace) << LastError();
    ++failures;
    EXPECT_EQ(Found("8000000000000000.b"), nullptr);
    EXPECT_EQ(Found("0.a"), a);
    EXPECT_EQ(Blocks(), 1u);
    heap.heap().Free(taken.back());
    taken.pop_back();
  }
  EXPECT_GT(failures, 0);
  EXPECT_EQ(Found("8000000000000000.b"), b);
  for (void* const block : taken) heap.heap().Free(block);
  EXPECT_TRUE(Forgets("8000000000000000.b"));
  EXPECT_TRUE(Forgets("0.a"));
  EXPECT_EQ(heap.LiveBytes(), before);
}

TEST_F(RootTrieTest, AFreeIsCountedForWhoReadsBeside) {
  ASSERT_EQ(Sets("0.a", a), Code::kOk);
  ASSERT_EQ(Sets("1000.b", b), Code::kOk);
  const uint64_t before = heap.header().root_frees;
  EXPECT_TRUE(Forgets("0.a"));  // the record
  EXPECT_EQ(heap.header().root_frees, before + 1);
  EXPECT_EQ(Sets("1000.b", b, {8, 8, 1, kRootTyped, "T"}),
            Code::kOk);  // the record of another type
  EXPECT_EQ(heap.header().root_frees, before + 2);
  EXPECT_TRUE(Forgets("1000.b"));  // the record, and two nodes
  EXPECT_EQ(heap.header().root_frees, before + 5);
}

TEST(BesideWriter, ReadsAgainWhereBlocksWereFreedMeanwhile) {
  uint64_t frees = 7;
  int reads = 0;
  const auto answer = BesideWriter(&frees, [&]() -> Result<int> {
    if (++reads > 3) return reads;
    ++frees;
    return Fail(Code::kCorrupt, "what was freed");
  });
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, 4);
  EXPECT_EQ(BesideWriter(&frees,
                         [&]() -> Result<int> {
                           ++frees;
                           return 1;
                         })
                .error(),
            Code::kBusy);
  EXPECT_EQ(*BesideWriter(nullptr, []() -> Result<int> { return 5; }), 5);
}

// What lies in a heap may be anything: the trie finds out, and neither crashes nor goes round.
struct DamagedTrieTest : RootTrieTest {
  DamagedTrieTest() {
    EXPECT_EQ(Sets("0.a", a), Code::kOk);
    EXPECT_EQ(Sets("100.b", b), Code::kOk);
    node = RootWord{heap.header().roots[0]}.offset();
    record = RootWord{static_cast<RootNode*>(heap.At(node))->words[0]}.offset();
  }
  void ExpectDamage(const std::string& name = "0.a") {
    EXPECT_EQ(trie.Find(name).error(), Code::kCorrupt);
    EXPECT_EQ(Sets(name, b), Code::kCorrupt);
    EXPECT_EQ(trie.Forget(name).error(), Code::kCorrupt);
    EXPECT_EQ(trie.ForEach([](const RootTrie::Found&) {}).code(), Code::kCorrupt);
  }
  RootRecord& Record() { return *static_cast<RootRecord*>(heap.At(record)); }
  RootNode& Node() { return *static_cast<RootNode*>(heap.At(node)); }
  uint64_t node;
  uint64_t record;
};

TEST_F(DamagedTrieTest, WordsThatLeadOutsideAreFound) {
  for (const uint64_t wrong :
       {uint64_t{8}, uint64_t{2048}, kSubtreeBytes, kSubtreeBytes - 64, ~uint64_t{15},
        ~uint64_t{14}, uint64_t{1}, kSubtreeBytes + 1, node + 8, record + 8 + 1}) {
    SCOPED_TRACE(wrong);
    heap.header().roots[0] = wrong;
    ExpectDamage();
  }
}

TEST_F(DamagedTrieTest, ANodeThatLeadsToItselfIsFound) {
  Node().words[0] = node;
  ExpectDamage();
}

TEST_F(DamagedTrieTest, AChainWithoutAnEndIsFound) {
  Record().next = record | 1;
  ExpectDamage("0.c");
}

TEST_F(DamagedTrieTest, NamesThatEndOutsideAreFound) {
  const uint16_t right = Record().name_bytes;
  Record().name_bytes = 0;
  ExpectDamage();
  Record().name_bytes = kRootNameBytesMax + 1;
  ExpectDamage();
  Record().name_bytes = right;
  Record().type_name_bytes = kTypeNameBytesMax + 1;
  ExpectDamage();
  Record().type_name_bytes = 0;
  // A record at the very end of the heap has no room for a name.
  const uint64_t end = kSubtreeBytes - 48;
  auto* const last = new (heap.At(end)) RootRecord{};
  last->name_bytes = 9;
  heap.header().roots[0] = end | 1;
  ExpectDamage();
}

TEST_F(DamagedTrieTest, WhatIsNoBlockIsNotFreed) {
  auto* const there = static_cast<char*>(heap.At(record));
  auto* const copy = static_cast<char*>(a) + 16;  // in the middle of a block
  std::memcpy(copy, there, 43);
  Node().words[0] = (static_cast<uint64_t>(copy - static_cast<char*>(heap.At(0)))) | 1;
  ASSERT_EQ(Found("0.a"), a);
  EXPECT_EQ(trie.Forget("0.a").error(), Code::kCorrupt);
  EXPECT_EQ(Sets("0.a", a, {8, 8, 1, kRootTyped, "T"}), Code::kCorrupt);
  EXPECT_EQ(Found("0.a"), a);
}

TEST_F(DamagedTrieTest, ARecordInAnothersPlaceIsFoundWhereANodeWouldPartThem) {
  heap.header().roots[5] = record | 1;
  EXPECT_EQ(Sets("5.x", a), Code::kCorrupt);
  int misplaced = 0;
  ASSERT_TRUE(
      trie.ForEach([&](const RootTrie::Found& found) { misplaced += found.is_misplaced; }).ok());
  EXPECT_EQ(misplaced, 1);
}

// Many words lead to one node: it is not visited more often than there is room for nodes.
TEST_F(DamagedTrieTest, AWalkThatMeetsOneNodeAgainAndAgainEnds) {
  std::vector<uint64_t> nodes;
  for (unsigned i = 0; i < kRootDepthMax; ++i) {
    void* const block = heap.heap().Allocate(sizeof(RootNode), 16).value();
    nodes.push_back(
        static_cast<uint64_t>(static_cast<char*>(block) - static_cast<char*>(heap.At(0))));
  }
  for (unsigned i = 0; i < kRootDepthMax; ++i) {
    const uint64_t leads = i + 1 < kRootDepthMax ? nodes[i + 1] : 0;
    for (uint64_t& word : static_cast<RootNode*>(heap.At(nodes[i]))->words) word = leads;
  }
  heap.header().roots[0] = nodes[0];
  uint64_t visits = 0;
  EXPECT_EQ(trie.ForEach([&](const RootTrie::Found&) { ++visits; }).code(), Code::kCorrupt);
  EXPECT_LE(visits, kSubtreeBytes / sizeof(RootRecord));
}

TEST_F(DamagedTrieTest, NoBytesMakeItCrash) {
  const uint64_t seed = TestSeed(1);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " + std::to_string(round));
    auto* const words = static_cast<uint64_t*>(heap.At(random() % 2 == 0 ? node : record));
    uint64_t& word = random() % 8 == 0 ? heap.header().roots[0] : words[random() % 6];
    const uint64_t right = word;
    word = random() % 2 == 0 ? random() % kSubtreeBytes : random() >> random() % 64;
    (void)trie.Find("0.a");
    (void)trie.Find("100.b");
    (void)trie.Find("200.c");
    (void)trie.ForEach([](const RootTrie::Found&) {});
    word = right;
  }
  EXPECT_EQ(Found("0.a"), a);
  EXPECT_EQ(Found("100.b"), b);
}

}  // namespace
}  // namespace morsel
