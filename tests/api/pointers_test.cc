// Words that lead where nothing will be in the next process are found and explained; what
// containers store that live in a morsel is not among them.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

struct Shape {
  virtual ~Shape() = default;
  int sides = 4;
};
MORSEL_ALLOW(Shape);

namespace {

int numbers_of_the_program[4] = {1, 2, 3, 4};
int AFunction(int x) { return x; }

struct Found {
  uint32_t to;
  bool is_doubtful;
  void* block;
  uint64_t offset;
  void* target;
  std::string symbol, place, message;
};

template <class T>
using Vector = std::vector<T, morsel::Allocator<T>>;

class PointersTest : public testing::Test {
 protected:
  morsel::Morsel Open(const std::string& name) {
    auto made = morsel::Morsel::open(pool_, name, {.flags = MORSEL_CREATE});
    EXPECT_TRUE(made) << morsel_last_error();
    return std::move(*made);
  }
  std::vector<Found> All() {
    std::vector<Found> all;
    EXPECT_TRUE(m_.check_pointers([&](const morsel_pointer& p) {
                    EXPECT_EQ(p.struct_size, sizeof p);
                    all.push_back({p.to, p.is_doubtful != 0, p.block, p.offset, p.target, p.symbol,
                                   p.place, p.message});
                  }).ok())
        << morsel_last_error();
    return all;
  }
  // The one word that is found, which has to be where it was stored.
  void ExpectOnly(const void* word, uint32_t to, bool is_doubtful) {
    const std::vector<Found> all = All();
    ASSERT_EQ(all.size(), 1u) << (all.empty() ? "" : all[1].message);
    EXPECT_EQ(static_cast<char*>(all[0].block) + all[0].offset, word) << all[0].message;
    EXPECT_EQ(all[0].to, to) << all[0].message;
    EXPECT_EQ(all[0].is_doubtful, is_doubtful) << all[0].message;
    EXPECT_EQ(all[0].target, *static_cast<void* const*>(word));
    message_ = all[0].message;
  }
  // Stores a pointer in a block, as the word of that number.
  void** Store(void* pointer, uint64_t word = 3) {
    auto* const words = static_cast<void**>(m_.calloc(10, sizeof(void*)));
    words[word] = pointer;
    return &words[word];
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  morsel::Pool pool_ = *morsel::Pool::open(scratch_.At("pool"), {.flags = MORSEL_CREATE});
  morsel::Morsel m_ = Open("m");
  std::string message_;
};

TEST_F(PointersTest, DataOfTheProgramIsFound) {
  ExpectOnly(Store(&numbers_of_the_program[1]), MORSEL_TO_PROGRAM, false);
  EXPECT_NE(message_.find("at offset 24 0x"), std::string::npos) << message_;
  EXPECT_NE(message_.find("pointers_test"), std::string::npos) << message_;
}

TEST_F(PointersTest, FunctionsAreFound) {
  ExpectOnly(Store(reinterpret_cast<void*>(&AFunction)), MORSEL_TO_PROGRAM, false);
}

TEST_F(PointersTest, FunctionsOfLibrariesAreFoundWithTheirNames) {
  ExpectOnly(Store(reinterpret_cast<void*>(&std::qsort)), MORSEL_TO_PROGRAM, false);
  EXPECT_NE(message_.find("libc.so"), std::string::npos) << message_;
  EXPECT_NE(message_.find("qsort"), std::string::npos) << message_;
}

TEST_F(PointersTest, TablesOfVirtualFunctionsAreFound) {
  auto* const shape = m_.make<Shape>();
  ExpectOnly(shape, MORSEL_TO_PROGRAM, false);
}

TEST_F(PointersTest, OrdinaryMemoryAndStacksAreFound) {
  const auto owned = std::make_unique<int>(1);
  void** const word = Store(owned.get());
  ExpectOnly(word, MORSEL_TO_MEMORY, false);
  int on_stack = 0;
  *word = &on_stack;
  ExpectOnly(word, MORSEL_TO_MEMORY, false);
}

TEST_F(PointersTest, FunctionObjectsAndSharedPointersAreFound) {
  new (m_.malloc(sizeof(std::function<int(int)>))) std::function<int(int)>(AFunction);
  EXPECT_FALSE(All().empty());
  for (const Found& found : All()) EXPECT_FALSE(found.is_doubtful) << found.message;
  auto* const shared =
      new (m_.malloc(sizeof(std::shared_ptr<int>))) std::shared_ptr<int>(std::make_shared<int>(1));
  bool is_found = false;
  for (const Found& found : All()) is_found = is_found || found.block == shared;
  EXPECT_TRUE(is_found);
}

TEST_F(PointersTest, AnotherMorselIsNamedAndDoubtful) {
  morsel::Morsel other = Open("other");
  ExpectOnly(Store(other.malloc(10)), MORSEL_TO_MORSEL, true);
  EXPECT_NE(message_.find("morsel 'other'"), std::string::npos) << message_;
}

TEST_F(PointersTest, WhatIsFreedIsDoubtful) {
  void* const freed = m_.malloc(48);
  m_.free(freed);
  ExpectOnly(Store(freed), MORSEL_TO_FREED, true);
}

TEST_F(PointersTest, WhereAProgramWasIsDoubtful) {
  ExpectOnly(Store(reinterpret_cast<void*>(0x7fff'ffff'e008)), MORSEL_TO_NOWHERE, true);
}

TEST_F(PointersTest, WhatAPointerMayBeIsNotFound) {
  char* const block = static_cast<char*>(m_.malloc(64));
  char* const large = static_cast<char*>(m_.malloc(200'000));
  for (void* const right :
       {static_cast<void*>(block), static_cast<void*>(block + 17), static_cast<void*>(block + 64),
        static_cast<void*>(large + m_.usable_size(large)), m_.base(),
        static_cast<void*>(m_.resource()), static_cast<void*>(nullptr),
        reinterpret_cast<void*>(123'456), reinterpret_cast<void*>(~uint64_t{0}),
        reinterpret_cast<void*>(0x5655'5453'5251)}) {
    void** const word = Store(right);
    EXPECT_TRUE(All().empty()) << right << " " << All()[0].message;
    m_.free(word - 3);
  }
}

// Each is filled, never filled, or filled and cleared.
template <class Map>
void FillThree(morsel::Morsel& m) {
  auto* const full = m.make<Map>();
  m.make<Map>();
  auto* const cleared = m.make<Map>();
  for (int i = 0; i < 1000; ++i) {
    (*full)[i] = i;
    (*cleared)[i] = i;
  }
  cleared->clear();
}
template <class List, class Value>
void FillThreeLists(morsel::Morsel& m, const Value& value) {
  auto* const full = m.make<List>();
  m.make<List>();
  auto* const cleared = m.make<List>();
  for (int i = 0; i < 1000; ++i) {
    full->push_back(value);
    cleared->push_back(value);
  }
  while (cleared->size() > 3) cleared->pop_back();
}

TEST_F(PointersTest, ContainersHaveNoneThatIsNotDoubtful) {
  using Pair = std::pair<const int, int>;
  FillThree<std::map<int, int, std::less<>, morsel::Allocator<Pair>>>(m_);
  FillThree<std::unordered_map<int, int, std::hash<int>, std::equal_to<>, morsel::Allocator<Pair>>>(
      m_);
  FillThree<std::pmr::map<int, int>>(m_);
  FillThree<std::pmr::unordered_map<int, int>>(m_);
  FillThreeLists<Vector<int>>(m_, 1);
  FillThreeLists<std::pmr::vector<std::pmr::string>>(m_, std::pmr::string("a text that is long"));
  FillThreeLists<std::pmr::deque<std::pmr::string>>(m_, std::pmr::string("short"));
  FillThreeLists<std::pmr::list<std::pmr::string>>(m_, std::pmr::string("short"));
  FillThreeLists<std::list<int, morsel::Allocator<int>>>(m_, 7);
  FillThreeLists<Vector<std::optional<double>>>(m_, 0.5);
  for (const Found& found : All()) {
    EXPECT_TRUE(found.is_doubtful) << found.message;
    EXPECT_EQ(found.to, uint32_t{MORSEL_TO_FREED}) << found.message;
  }
}

TEST_F(PointersTest, AVisitorMayStopAndMayUseTheMorsel) {
  for (int i = 0; i < 3; ++i) Store(&numbers_of_the_program[i]);
  int visits = 0;
  const auto frees = [](const morsel_pointer* pointer, void* count) {
    morsel_free(morsel_of(pointer->block), pointer->block);
    return ++*static_cast<int*>(count) == 2 ? 1 : 0;
  };
  EXPECT_EQ(morsel_check_pointers(m_.handle(), frees, &visits), MORSEL_OK);
  EXPECT_EQ(visits, 2);
  EXPECT_EQ(All().size(), 1u);
}

TEST_F(PointersTest, AGuardedCheckpointPrintsTheFirstOfThem) {
  setenv("MORSEL_GUARD", "1", 1);
  morsel::Morsel guarded = Open("guarded");
  unsetenv("MORSEL_GUARD");
  for (int i = 0; i < 9; ++i) {
    *static_cast<void**>(guarded.malloc(sizeof(void*))) = &numbers_of_the_program[0];
  }
  testing::internal::CaptureStderr();
  EXPECT_TRUE(guarded.checkpoint().ok()) << morsel_last_error();
  const std::string printed = testing::internal::GetCapturedStderr();
  size_t lines = 0;
  for (const char c : printed) lines += c == '\n';
  EXPECT_EQ(lines, 6u) << printed;
  EXPECT_NE(printed.find("checkpoint of morsel 'guarded'"), std::string::npos) << printed;
  EXPECT_NE(printed.find("the block of 8 bytes at 0x"), std::string::npos) << printed;
  EXPECT_NE(printed.find("9 such words in all"), std::string::npos) << printed;
}

}  // namespace
