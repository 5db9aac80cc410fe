#include "morsel/roots/roots.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "morsel/roots/root_trie_testing.h"
#include "morsel/roots/short_type_name.h"

namespace morsel {
namespace {

struct RootsTest : testing::Test {
  explicit RootsTest(bool has_table = false) : heap(kSubtreeBytes, has_table) {}
  void* Found(std::string_view name) {
    const Result<Roots::Found> found = roots.Find(name, {});
    EXPECT_TRUE(found) << LastError();
    return found ? found->object : nullptr;
  }
  std::string Names() {
    std::string names;
    const auto all = roots.All();
    EXPECT_TRUE(all) << LastError();
    for (const Roots::Root& root : *all) names += root.name + " ";
    return names;
  }
  std::string Damages(uint64_t* count = nullptr) {
    std::string damages;
    const uint64_t found =
        roots.Validate([&](const std::string& message) { damages += message + "\n"; });
    if (count != nullptr) *count = found;
    return damages;
  }

  TrieHeap heap;
  Roots roots{heap.heap()};
  void* const a = heap.Object();
  void* const b = heap.Object();
};

TEST_F(RootsTest, NamesHave1To255Bytes) {
  const std::string longest(255, 'x');
  EXPECT_TRUE(roots.Set(longest, a, {}).ok());
  EXPECT_EQ(Found(longest), a);
  EXPECT_EQ(roots.Set(longest + "x", a, {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(roots.Set("", a, {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(Found(longest + "x"), nullptr);
  EXPECT_EQ(roots.Forget("").code(), Code::kInvalidArgument);
  EXPECT_EQ(roots.Forget("x").code(), Code::kNotFound);
}

TEST_F(RootsTest, AllAreListedInTheOrderOfNames) {
  EXPECT_EQ(Names(), "");
  for (const char* const name : {"b", "a", "ab", "c"}) ASSERT_TRUE(roots.Set(name, a, {}).ok());
  EXPECT_EQ(Names(), "a ab b c ");
  EXPECT_EQ(roots.Blocks()->size(), 4u);
  uint64_t count = 0;
  EXPECT_EQ(Damages(&count), "");
  EXPECT_EQ(count, 4u);
}

TEST_F(RootsTest, ATypeIsKeptAsItWasGiven) {
  const RootType type = {24, 8, 3, kRootTyped | kRootMangled, "7Account"};
  ASSERT_TRUE(roots.Set("typed", a, type).ok());
  ASSERT_TRUE(roots.Set("any", a, {}).ok());
  const auto all = roots.All();
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_FALSE((*all)[0].type.is_typed());
  EXPECT_EQ((*all)[1].type_name, "Account");
  EXPECT_EQ((*all)[1].type.size_bytes, 24u);
  EXPECT_EQ((*all)[1].type.layout, 3u);
  EXPECT_TRUE(roots.Find("typed", {})->fits);
  EXPECT_TRUE(roots.Find("typed", type)->fits);
  EXPECT_TRUE(roots.Find("any", type)->fits);
  const auto with = [&](auto member, auto value) {
    RootType other = type;
    other.*member = value;
    return roots.Find("typed", other)->fits;
  };
  EXPECT_FALSE(with(&RootType::size_bytes, uint64_t{32}));
  EXPECT_FALSE(with(&RootType::alignment, 16u));
  EXPECT_FALSE(with(&RootType::layout, 4u));
  EXPECT_FALSE(with(&RootType::name, std::string_view("5Other")));
  EXPECT_TRUE(with(&RootType::name, std::string_view()));
}

TEST(RootType, LongNamesDifferInTheirEnds) {
  const std::string a(2000, 'a');
  const std::string b = a.substr(1) + "b";
  EXPECT_EQ(TypeNameToKeep(a).size(), kTypeNameBytesMax);
  EXPECT_NE(TypeNameToKeep(a), TypeNameToKeep(b));
  EXPECT_EQ(TypeNameToKeep(a.substr(0, kTypeNameBytesMax)), a.substr(0, kTypeNameBytesMax));
}

TEST_F(RootsTest, ARootThatLeadsNowhereIsFound) {
  ASSERT_TRUE(roots.Set("astray", a, {}).ok());
  ASSERT_TRUE(roots.Set("freed", b, {}).ok());
  const auto record = RootWord{heap.header().roots[Checksum64("astray", 6) & 255]}.offset();
  static_cast<RootRecord*>(heap.At(record))->object = 4096;
  heap.heap().Free(b);
  const std::string damages = Damages();
  EXPECT_NE(damages.find("root 'astray' (offset 0x"), std::string::npos) << damages;
  EXPECT_NE(damages.find("leads to 0x1000, outside of the morsel"), std::string::npos) << damages;
  EXPECT_NE(damages.find("where no block is allocated"), std::string::npos) << damages;
}

TEST_F(RootsTest, ARecordThatIsNoBlockIsFound) {
  ASSERT_TRUE(roots.Set("root", a, {}).ok());
  const auto record = RootWord{heap.header().roots[Checksum64("root", 4) & 255]}.offset();
  heap.heap().Free(heap.At(record));
  EXPECT_NE(Damages().find("lies where no block is allocated"), std::string::npos) << Damages();
}

struct RootsOfTablesTest : RootsTest {
  RootsOfTablesTest() : RootsTest(true) {
    PutInTable(heap.heap(), 3, "old", a);
    PutInTable(heap.heap(), 5, "gone", a);
    PutInTable(heap.heap(), 255, std::string(111, 'z').c_str(), b);
  }
};

TEST_F(RootsOfTablesTest, TheyAreFoundAndForgottenAndFitAnyType) {
  EXPECT_EQ(Found("old"), a);
  EXPECT_EQ(Found(std::string(111, 'z')), b);
  EXPECT_TRUE(roots.Find("old", {8, 8, 1, kRootTyped, "T"})->fits);
  EXPECT_TRUE(roots.Forget("gone").ok());
  EXPECT_EQ(Found("gone"), nullptr);
  EXPECT_EQ(roots.Forget("gone").code(), Code::kNotFound);
  EXPECT_EQ(heap.header().version, alloc::kHeapVersionOfTables);
  EXPECT_EQ(Names(), "old " + std::string(111, 'z') + " ");
  uint64_t count = 0;
  EXPECT_EQ(Damages(&count), "");
  EXPECT_EQ(count, 2u);
}

TEST_F(RootsOfTablesTest, ASetMovesARootIntoTheTrie) {
  ASSERT_TRUE(roots.Set("new", b, {}).ok());
  EXPECT_EQ(heap.header().version, alloc::kHeapVersion);
  ASSERT_TRUE(roots.Set("old", b, {}).ok());
  EXPECT_EQ(static_cast<RootEntry*>(heap.heap().facts().root_table())[3].object, 0u);
  EXPECT_EQ(Names(), "gone new old " + std::string(111, 'z') + " ");
  heap.Open();
  EXPECT_EQ(Roots(heap.heap()).Find("old", {})->object, b);
}

TEST_F(RootsOfTablesTest, OfTwoOfOneNameTheTriesCounts) {
  ASSERT_TRUE(roots.Set("both", b, {}).ok());
  PutInTable(heap.heap(), 7, "both", a);
  EXPECT_EQ(Found("both"), b);
  EXPECT_EQ(Names(), "both gone old " + std::string(111, 'z') + " ");
  for (const Roots::Root& root : *roots.All()) {
    EXPECT_TRUE(root.name != "both" || root.object == b);
  }
  EXPECT_EQ(Damages(), "");
}

TEST_F(RootsOfTablesTest, DamagedEntriesAreFound) {
  auto* const entries = static_cast<RootEntry*>(heap.heap().facts().root_table());
  std::memset(entries[0].name, 'x', sizeof entries[0].name);
  entries[0].object = entries[1].object = reinterpret_cast<uint64_t>(a);
  PutInTable(heap.heap(), 9, "old", b);
  const std::string damages = Damages();
  EXPECT_NE(damages.find("(entry 0) has a name without an end"), std::string::npos) << damages;
  EXPECT_NE(damages.find("(entry 1) has no name"), std::string::npos) << damages;
  EXPECT_NE(damages.find("(entry 9) has the name of another root"), std::string::npos) << damages;
}

TEST(RootsVersion, AHeapWithoutATableIsOfTheNewVersion) {
  TrieHeap heap;
  EXPECT_TRUE(Roots(heap.heap()).CheckTable().ok());
  BecomeHeapOfTables(heap.place().base);
  EXPECT_EQ(Roots(heap.heap()).CheckTable().code(), Code::kCorrupt);
}

TEST(TypeNames, AreShownAsOneWritesThem) {
  const auto is_shown_as = [](const char* name, const char* as) {
    EXPECT_EQ(ShortTypeName(name), as);
  };
#define STRING(a) "std::__cxx11::basic_string<char, std::char_traits<char>, " a "<char> >"
#define P "std::pmr::polymorphic_allocator"
  is_shown_as("Account", "Account");
  is_shown_as("unsigned long", "unsigned long");
  is_shown_as(STRING("std::allocator"), "std::string");
  is_shown_as(STRING(P), "std::pmr::string");
  is_shown_as(STRING("morsel::Allocator"),
              "std::basic_string<char, std::char_traits<char>, morsel::Allocator<char>>");
  is_shown_as("std::vector<int, morsel::Allocator<int> >",
              "std::vector<int, morsel::Allocator<int>>");
  is_shown_as("std::map<" STRING(P) ", std::vector<" STRING(
                  P) ", " P
                     "<" STRING(P) " > >, std::less<" STRING(P) " >, " P "<std::pair<" STRING(
                         P) " const, std::vector<" STRING(P) ", " P "<" STRING(P) " > > > > >",
              "std::pmr::map<std::pmr::string, std::pmr::vector<std::pmr::string>>");
  is_shown_as("std::unordered_map<int, double, std::hash<int>, std::equal_to<int>, " P
              "<std::pair<int const, double> > >",
              "std::pmr::unordered_map<int, double>");
  is_shown_as("std::set<int, std::greater<int>, std::allocator<int> >",
              "std::set<int, std::greater<int>>");
  is_shown_as("std::set<int, std::less<void>, std::allocator<int> >",
              "std::set<int, std::less<void>>");
  is_shown_as("mine::Box<int, std::allocator<int> > const",
              "mine::Box<int, std::allocator<int>> const");
  is_shown_as("std::function<int (std::vector<char, std::allocator<char> >, int)>",
              "std::function<int (std::vector<char>, int)>");
  is_shown_as("std::allocator<int>", "std::allocator<int>");
  // What is no name of a type, or the begin of one, stays.
  for (const char* const other : {"", "a<b", "a>b", "a<b, c", "operator<", "a), b", "f(a<b)"}) {
    is_shown_as(other, other);
  }
#undef STRING
#undef P
}

}  // namespace
}  // namespace morsel
