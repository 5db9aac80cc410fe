// The roots of a morsel are listed; and the version of the library is that of its header.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

namespace {

using Roots = std::vector<std::pair<std::string, void*>>;

class RootsTest : public testing::Test {
 protected:
  static morsel::Pool Open(const std::string& path, uint32_t flags, uint64_t size_bytes) {
    setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
    auto pool = morsel::Pool::open(path, {.flags = flags, .size_bytes = size_bytes});
    EXPECT_TRUE(pool) << morsel_last_error();
    return std::move(*pool);
  }
  static morsel::Morsel Make(morsel::Pool& pool, uint32_t flags) {
    auto made = morsel::Morsel::open(pool, "m", {.flags = MORSEL_CREATE | flags});
    EXPECT_TRUE(made) << morsel_last_error();
    return std::move(*made);
  }
  static Roots RootsOf(const morsel::Morsel& m) {
    Roots roots;
    EXPECT_TRUE(m.for_each_root([&](const morsel_root_info& root) {
                   roots.emplace_back(root.name, root.object);
                 }).ok());
    return roots;
  }
  static void ListsThem(morsel::Morsel m) {
    EXPECT_EQ(RootsOf(m), Roots());
    void* const a = m.malloc(10);
    void* const b = m.malloc(10);
    const std::string longest(255, 'z');
    EXPECT_TRUE(m.set_root(longest.c_str(), a).ok());
    EXPECT_TRUE(m.set_root("b", b).ok());
    EXPECT_TRUE(m.set_root("a", a).ok());
    EXPECT_TRUE(m.set_root("gone", a).ok());
    EXPECT_TRUE(m.set_root("gone", nullptr).ok());
    EXPECT_EQ(RootsOf(m), (Roots{{"a", a}, {"b", b}, {longest, a}}));
    EXPECT_EQ(m.root("b"), b);
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  morsel::Pool pool_ = Open(scratch_.At("pool"), MORSEL_CREATE, 0);
};

TEST_F(RootsTest, AllAreListedByName) {
  ListsThem(Make(pool_, 0));
  morsel::Pool carved =
      Open(scratch_.At("carved"), MORSEL_CREATE | MORSEL_CARVED, uint64_t{32} << 20);
  ListsThem(Make(carved, MORSEL_FINE));
}

TEST_F(RootsTest, TheyAreThoseOfTheLastCheckpointAfterAReopen) {
  morsel::Morsel m = Make(pool_, 0);
  void* const object = m.malloc(10);
  EXPECT_TRUE(m.set_root("kept", object).ok());
  EXPECT_TRUE(m.checkpoint().ok());
  EXPECT_TRUE(m.set_root("lost", object).ok());
  EXPECT_TRUE(m.discard().ok());
  const auto again = morsel::Morsel::open(pool_, "m", {.flags = MORSEL_READ_ONLY});
  ASSERT_TRUE(again) << morsel_last_error();
  EXPECT_EQ(RootsOf(*again), (Roots{{"kept", object}}));
}

TEST_F(RootsTest, AVisitorEndsTheListAndMayChangeRoots) {
  const morsel::Morsel m = Make(pool_, 0);
  void* const object = morsel_malloc(m.handle(), 10);
  for (const char* const name : {"a", "b", "c"}) {
    EXPECT_EQ(morsel_set_root(m.handle(), name, object), MORSEL_OK);
  }
  Roots seen;
  const auto second = [](const morsel_root_info* root, void* roots) {
    static_cast<Roots*>(roots)->emplace_back(root->name, root->object);
    EXPECT_EQ(morsel_set_root(morsel_of(root->object), root->name, nullptr), MORSEL_OK);
    return std::strcmp(root->name, "b") == 0 ? 1 : 0;
  };
  EXPECT_EQ(morsel_for_each_root(m.handle(), second, &seen), MORSEL_OK);
  EXPECT_EQ(seen, (Roots{{"a", object}, {"b", object}}));
  EXPECT_EQ(RootsOf(m), (Roots{{"c", object}}));
  const auto throws = [](const morsel_root_info&) { throw std::runtime_error("enough"); };
  EXPECT_THROW((void)m.for_each_root(throws), std::runtime_error);
  EXPECT_EQ(morsel_for_each_root(nullptr, second, &seen), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_for_each_root(m.handle(), nullptr, &seen), MORSEL_INVALID_ARGUMENT);
}

// Whoever lists roots must not follow one that leads elsewhere.
TEST_F(RootsTest, OneThatLeadsOutsideHasNoObject) {
  morsel::Morsel m = Make(pool_, 0);
  EXPECT_TRUE(m.set_root("astray", m.malloc(10)).ok());
  char* const base = static_cast<char*>(m.base());
  // The name lies at the end of the root's record, and the object's address is its second word.
  void* const name = memmem(base, m.size(), "astray", 6);
  ASSERT_NE(name, nullptr);
  const uint64_t elsewhere = 4096;
  std::memcpy(static_cast<char*>(name) - 40 + 8, &elsewhere, sizeof elsewhere);
  EXPECT_EQ(RootsOf(m), (Roots{{"astray", nullptr}}));
  EXPECT_EQ(m.root("astray"), nullptr);
}

TEST(Version, IsThatOfTheHeaderAndOfThePackage) {
  const std::string of_header = std::to_string(MORSEL_VERSION_MAJOR) + "." +
                                std::to_string(MORSEL_VERSION_MINOR) + "." +
                                std::to_string(MORSEL_VERSION_PATCH);
  EXPECT_EQ(morsel::version(), of_header);
  std::string of_package;
  std::ifstream("VERSION") >> of_package;
  EXPECT_EQ(of_package, of_header);
}

}  // namespace
