// What a power cut, a kill, and a power cut after a kill leave of roots that are changed meanwhile.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "morsel/roots/root_trie.h"
#include "morsel/roots/root_trie_testing.h"
#include "morsel/roots/roots.h"
#include "os/testing/seed_testing.h"
#include "sim/model/crash_recorder_testing.h"

namespace morsel {
namespace {

using Names = std::map<std::string, std::pair<uint64_t, uint32_t>>;  // object and layout

struct RootTrieCrashTest : testing::Test {
  void Make(bool has_table) {
    const alloc::HeapPlace place = memory.Place(kSubtreeBytes);
    alloc::FormatHeap(place, has_table ? kRootTableBytes : 0, pmem::VolatilePersist());
    if (has_table) BecomeHeapOfTables(place.base);
    recorder.emplace(std::vector<pmem::CrashRecorder::Span>{{memory.base(), kSubtreeBytes}});
    heap = OpenHeap(recorder->persist());
    a = heap->Allocate(64, 16).value();
    b = heap->Allocate(64, 16).value();
    ASSERT_TRUE(heap->Flush(a, 64).ok() && heap->Flush(b, 64).ok());
    heap->Fence();
  }
  std::unique_ptr<alloc::Heap> OpenHeap(pmem::Persist persist) {
    auto opened =
        alloc::Heap::Open(memory.Place(kSubtreeBytes), persist, /*fine=*/true, /*read_only=*/false);
    EXPECT_TRUE(opened) << LastError();
    return std::move(*opened);
  }

  // All roots. All that leads to them has to be as the layouts say.
  static Names NamesOf(alloc::Heap& of) {
    Names names;
    Roots(of).Validate([](const std::string& message) { ADD_FAILURE() << message; });
    const auto all = Roots(of).All();
    EXPECT_TRUE(all) << LastError();
    for (const Roots::Root& root : *all) {
      names[root.name] = {reinterpret_cast<uint64_t>(root.object), root.type.layout};
    }
    const bool has_trie =
        std::any_of(std::begin(of.facts().header->roots), std::end(of.facts().header->roots),
                    [](uint64_t word) { return word != 0; });
    if (has_trie) {
      EXPECT_EQ(of.facts().header->version, alloc::kHeapVersion);
    }
    return names;
  }

  // Crashes at every flush and every fence of the change, in all ways. Each leaves the roots as
  // they were before, or as they are afterwards; what the next process has seen stays so.
  void CrashIn(const std::function<Status(Roots&)>& change) {
    const Names before = NamesOf(*heap);
    std::vector<Names> seen;
    int crashes = 0;
    const auto crash = [&] {
      ++crashes;
      recorder->Observe();
      recorder->ForEachImage(64, random, [&] {
        const auto found = OpenHeap(pmem::VolatilePersist());
        seen.push_back(NamesOf(*found));
      });
      recorder->WithMemory([&] {
        pmem::CrashRecorder after = recorder->AfterKill();
        std::thread([&] {
          const auto next = OpenHeap(after.persist());
          // All that it will see is durable when it has opened the heap.
          std::vector<Names> left;
          after.Observe();
          after.ForEachImage(64, random,
                             [&] { left.push_back(NamesOf(*OpenHeap(pmem::VolatilePersist()))); });
          const Names visible = NamesOf(*next);
          seen.push_back(visible);
          EXPECT_FALSE(left.empty());
          for (const Names& names : left) EXPECT_EQ(names, visible) << "a process sees other roots";
        }).join();
      });
    };
    recorder->set_before_flush(crash);
    recorder->set_before_fence(crash);
    Roots roots(*heap);
    const Status status = change(roots);
    recorder->set_before_flush(nullptr);
    recorder->set_before_fence(nullptr);
    ASSERT_TRUE(status.ok()) << LastError();
    EXPECT_GT(crashes, 0);
    const Names afterwards = NamesOf(*heap);
    for (const Names& names : seen) {
      EXPECT_TRUE(names == before || names == afterwards);
    }
    recorder->Observe();
    recorder->ForEachImage(64, random, [&] {
      const auto found = OpenHeap(pmem::VolatilePersist());
      EXPECT_EQ(NamesOf(*found), afterwards) << "it is durable on return";
    });
  }
  void CrashInSet(const std::string& name, void* object, uint32_t layout) {
    CrashIn([&](Roots& roots) {
      return roots.Set(name, object, {8, 8, layout, kRootTyped, "a type's name"});
    });
  }
  void CrashInForget(const std::string& name) {
    CrashIn([&](Roots& roots) { return roots.Forget(name); });
  }
  // Four names whose hashes choose the same word of the top, and of which the last two choose the
  // same word of a node, too.
  static std::vector<std::string> SameWords() {
    std::vector<std::string> names;
    for (int i = 0; names.size() < 4; ++i) {
      const std::string name = "root " + std::to_string(i);
      const uint64_t hash = Checksum64(name.data(), name.size());
      const bool is_due = names.size() < 2 ? (hash & 0xff) == 0 : (hash & 0xfff) == 0x200;
      if (is_due) names.push_back(name);
    }
    return names;
  }

  alloc::HeapMemory memory{kSubtreeBytes};
  std::mt19937_64 random{TestSeed(1)};
  std::optional<pmem::CrashRecorder> recorder;
  std::unique_ptr<alloc::Heap> heap;
  void* a = nullptr;
  void* b = nullptr;
};

TEST_F(RootTrieCrashTest, ANewRoot) {
  Make(false);
  CrashInSet("first", a, 0);
  CrashInSet("second", b, 0);
  const auto names = SameWords();
  for (const std::string& name : names) CrashInSet(name, a, 0);
}

TEST_F(RootTrieCrashTest, AnotherObject) {
  Make(false);
  CrashInSet("root", a, 0);
  CrashInSet("root", b, 0);
}

TEST_F(RootTrieCrashTest, AnotherType) {
  Make(false);
  CrashInSet("root", a, 0);
  CrashInSet("root", b, 1);
  CrashInSet("root", a, 2);
}

TEST_F(RootTrieCrashTest, AForgottenRoot) {
  Make(false);
  const auto names = SameWords();
  for (const std::string& name : names) CrashInSet(name, a, 0);
  for (const std::string& name : names) CrashInForget(name);
  EXPECT_EQ(NamesOf(*heap), Names());
}

// What is freed is used again at once, while the words that led there may come back.
TEST_F(RootTrieCrashTest, WhatIsFreedIsUsedAgain) {
  Make(false);
  for (uint32_t i = 0; i < 6; ++i) {
    CrashInSet("root", a, i);
    CrashIn([&](Roots& roots) {
      for (int blocks = 0; blocks < 3; ++blocks) {
        void* const block = heap->Allocate(60, 16).value();
        std::memset(block, 0xff, 60);
        MORSEL_TRY(heap->Flush(block, 60));
      }
      heap->Fence();
      return roots.Set("root", b, {8, 8, i, kRootTyped, "a type's name"});
    });
  }
}

TEST_F(RootTrieCrashTest, AHeapOfTables) {
  Make(true);
  PutInTable(*heap, 0, "old", a);
  PutInTable(*heap, 1, "other", b);
  heap->facts().persist.Range(heap->facts().root_table(), kRootTableBytes);
  EXPECT_EQ(NamesOf(*heap).size(), 2u);
  CrashInForget("other");
  EXPECT_EQ(heap->facts().header->version, alloc::kHeapVersionOfTables);
  CrashInSet("new", b, 3);
  EXPECT_EQ(heap->facts().header->version, alloc::kHeapVersion);
  CrashInSet("old", b, 1);
  CrashInForget("old");
  EXPECT_EQ(NamesOf(*heap).size(), 1u);
}

// A crash leaves a root in the trie and in the table. What is forgotten then is forgotten for good.
TEST_F(RootTrieCrashTest, ARootOfBothIsForgottenInBoth) {
  Make(true);
  PutInTable(*heap, 0, "root", a);
  heap->facts().persist.Range(heap->facts().root_table(), kRootTableBytes);
  ASSERT_TRUE(Roots(*heap).Set("root", b, {}).ok());
  PutInTable(*heap, 0, "root", a);
  heap->facts().persist.Range(heap->facts().root_table(), kRootTableBytes);
  EXPECT_EQ(NamesOf(*heap).at("root").first, reinterpret_cast<uint64_t>(b));
  CrashInForget("root");
  EXPECT_EQ(NamesOf(*heap), Names());
}

TEST_F(RootTrieCrashTest, KillThenPowerCut) {
  Make(false);
  // A word of a node, and then of a record: neither lies in the header, which is flushed anyway.
  const auto names = SameWords();
  for (const std::string& name : names) ASSERT_TRUE(Roots(*heap).Set(name, a, {}).ok());
  CrashIn([&](Roots& roots) { return roots.Set(names[2], b, {}); });
  CrashInSet(names[2], a, 1);
  CrashInForget(names[2]);
}

}  // namespace
}  // namespace morsel
