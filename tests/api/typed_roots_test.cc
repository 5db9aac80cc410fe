// Roots know the type of their object: another is refused, an older one becomes one of today, and
// two threads that make one root get one object.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <memory_resource>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

namespace v1 {
struct Account {
  int64_t id = 7;
  double balance = 12.5;
};
enum class Currency : int16_t { kEuro };
union Amount {
  float number;
};
struct Row : std::pmr::vector<int> {};
struct Ring {
  using value_type = int;
  using allocator_type = std::pmr::polymorphic_allocator<>;
  int first;
};
struct Pair : std::pair<int, int> {};
}  // namespace v1
namespace v2 {
struct Account {
  Account() { ++alive; }
  explicit Account(const v1::Account& old) : id(old.id), balance(old.balance) { ++alive; }
  ~Account() { --alive; }
  int64_t id = 0;
  char currency[8] = "EUR";
  double balance = 0;
  static std::atomic<int> alive;
};
std::atomic<int> Account::alive = 0;
enum class Currency : int { kEuro };
union Amount {
  float number;
  double more;
};
struct Row : std::pmr::vector<int> {
  int number;
};
struct Ring {
  using value_type = int;
  using allocator_type = std::pmr::polymorphic_allocator<>;
  int first, last;
};
struct Pair : std::pair<int, int> {
  int third;
};
}  // namespace v2
struct Celsius {
  double degrees = 20;
};
struct Fahrenheit {
  double degrees = 68;
};
struct Point {
  int x = 1, y = 2;
};
struct Mended {
  virtual ~Mended() = default;
};
MORSEL_LAYOUT(Fahrenheit, 1);
MORSEL_ALLOW(Mended);

namespace {

using morsel::last_error;
template <class T>
using Vector = std::vector<T, morsel::Allocator<T>>;

class TypedRootsTest : public testing::Test {
 protected:
  static std::string WhyNot(const void* root) {
    EXPECT_EQ(root, nullptr);
    EXPECT_EQ(errno, EINVAL);
    return last_error();
  }
  void ReOpen(uint32_t flags = 0) {
    ASSERT_TRUE(m_->close().ok()) << last_error();
    m_.emplace(*morsel::Morsel::open(pool_, "m", {.flags = flags}));
  }
  uint64_t LiveBytes() { return m_->stat()->live_bytes; }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  morsel::Pool pool_ = *morsel::Pool::open(scratch_.At("pool"), {.flags = MORSEL_CREATE});
  std::optional<morsel::Morsel> m_{*morsel::Morsel::open(pool_, "m", {.flags = MORSEL_CREATE})};
};

TEST_F(TypedRootsTest, AnotherTypeIsRefusedAndTheMessageHasBoth) {
  ASSERT_TRUE(m_->set_root("account", m_->make<v1::Account>()).ok()) << last_error();
  ReOpen();
  EXPECT_EQ(m_->root<v1::Account>("account")->balance, 12.5);
  EXPECT_NE(m_->root<const v1::Account>("account"), nullptr);
  EXPECT_NE(m_->root("account"), nullptr);
  const std::string why = WhyNot(m_->root<v2::Account>("account"));
  EXPECT_NE(why.find("'v1::Account' (16 bytes, alignment 8, layout 0)"), std::string::npos) << why;
  EXPECT_NE(why.find("'v2::Account' (24 bytes, alignment 8, layout 0)"), std::string::npos) << why;
  const std::string other = WhyNot(m_->root<Vector<int>>("account"));
  EXPECT_NE(other.find("'std::vector<int, morsel::Allocator<int>>' ("), std::string::npos) << other;
  const std::string nested =
      WhyNot(m_->root<std::pmr::map<std::pmr::string, v1::Account>>("account"));
  EXPECT_NE(nested.find("'std::pmr::map<std::pmr::string, v1::Account>' ("), std::string::npos)
      << nested;
  EXPECT_EQ(m_->root<v1::Account>("none"), nullptr);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(TypedRootsTest, NameAndLayoutTellTypesOfOneSizeApart) {
  ASSERT_TRUE(m_->set_root("t", m_->make<Celsius>()).ok());
  EXPECT_NE(WhyNot(m_->root<Fahrenheit>("t")).find("layout 1"), std::string::npos);
  EXPECT_NE(WhyNot(m_->root<Point>("t")).find("'Point'"), std::string::npos);
  ASSERT_TRUE(m_->set_root("t", m_->make<Fahrenheit>()).ok());
  EXPECT_NE(m_->root<Fahrenheit>("t"), nullptr);
  WhyNot(m_->root<Celsius>("t"));
}

TEST_F(TypedRootsTest, BytesHaveNoTypeAndFitAny) {
  ASSERT_TRUE(m_->set_root("void", m_->malloc(64)).ok());
  ASSERT_TRUE(m_->set_root("char", static_cast<char*>(m_->malloc(64))).ok());
  ASSERT_TRUE(m_->set_root("byte", static_cast<std::byte*>(m_->malloc(64))).ok());
  ASSERT_EQ(morsel_set_root(m_->handle(), "c", m_->malloc(64)), MORSEL_OK);
  for (const char* const name : {"void", "char", "byte", "c"}) {
    EXPECT_NE(m_->root<v2::Account>(name), nullptr) << last_error();
    EXPECT_NE(m_->root<Vector<int>>(name), nullptr) << last_error();
  }
  ASSERT_TRUE(m_->set_root("t", m_->make<Celsius>()).ok());
  EXPECT_NE(m_->root<char>("t"), nullptr);
  ASSERT_TRUE(m_->set_root("t", nullptr).ok());
  EXPECT_EQ(m_->root("t"), nullptr);
}

TEST_F(TypedRootsTest, TypesAreListed) {
  ASSERT_TRUE(m_->set_root("b", m_->make<Fahrenheit>()).ok());
  ASSERT_TRUE(m_->set_root("a", m_->malloc(8)).ok());
  std::string seen;
  ASSERT_TRUE(m_->for_each_root([&](const morsel_root_info& root) {
                  EXPECT_EQ(root.struct_size, sizeof root);
                  seen += std::string(root.name) + " " + root.type + " " +
                          std::to_string((root.flags & MORSEL_TYPED) != 0) + " " +
                          std::to_string(root.size) + " " + std::to_string(root.alignment) + " " +
                          std::to_string(root.layout) + "\n";
                }).ok());
  EXPECT_EQ(seen, "a  0 0 0 0\nb Fahrenheit 1 8 8 1\n");
}

// The names that a program without exceptions, and one without RTTI, gives.
TEST_F(TypedRootsTest, HowAProgramIsBuiltDoesNotMatter) {
  auto* const numbers = m_->make<Vector<int>>();
  std::string name = typeid(Vector<int>).name();
  const size_t at = name.find("15with_exceptions");
  ASSERT_NE(at, std::string::npos) << name;
  name.replace(at, 17, "18without_exceptions");
  morsel_type type = {sizeof type, alignof(Vector<int>), sizeof(Vector<int>),
                      0,           MORSEL_MANGLED,       name.c_str()};
  ASSERT_EQ(morsel_set_root_typed(m_->handle(), "v", numbers, &type, 0), MORSEL_OK);
  EXPECT_EQ(m_->root<Vector<int>>("v"), numbers) << last_error();
  type.name = nullptr;
  ASSERT_EQ(morsel_set_root_typed(m_->handle(), "v", numbers, &type, 0), MORSEL_OK);
  EXPECT_EQ(m_->root<Vector<int>>("v"), numbers) << last_error();
  WhyNot(m_->root<Celsius>("v"));
}

TEST_F(TypedRootsTest, TheCApiRefusesTypesThatCannotBe) {
  void* const object = m_->malloc(16);
  morsel_type type = {sizeof type, 8, 16, 0, 0, "account"};
  const auto set = [&](uint32_t flags = 0) {
    return morsel_set_root_typed(m_->handle(), "r", object, &type, flags);
  };
  EXPECT_EQ(set(), MORSEL_OK) << last_error();
  EXPECT_EQ(set(MORSEL_EXCLUSIVE), MORSEL_EXISTS);
  EXPECT_EQ(set(MORSEL_CREATE), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_root_typed(m_->handle(), "r", &type), object);
  EXPECT_EQ(morsel_root_typed(m_->handle(), "r", nullptr), object);
  type.alignment = 3;
  EXPECT_EQ(set(), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_root_typed(m_->handle(), "r", &type), nullptr);
  type.alignment = 8;
  type.flags = MORSEL_FINE;
  EXPECT_EQ(set(), MORSEL_INVALID_ARGUMENT);
  type.flags = 0;
  type.struct_size = 8;
  EXPECT_EQ(set(), MORSEL_INVALID_ARGUMENT);
  type.struct_size = 0;
  EXPECT_EQ(set(), MORSEL_OK);
  const std::string longest(5000, 'n');
  type.name = longest.c_str();
  EXPECT_EQ(set(), MORSEL_OK);
  EXPECT_EQ(morsel_root_typed(m_->handle(), "r", &type), object);
  const std::string other = longest.substr(1) + "x";
  type.name = other.c_str();
  EXPECT_EQ(morsel_root_typed(m_->handle(), "r", &type), nullptr);
}

TEST_F(TypedRootsTest, AnOlderObjectBecomesOneOfTodayOnce) {
  ASSERT_TRUE(m_->set_root("account", m_->make<v1::Account>()).ok());
  const uint64_t before = LiveBytes();
  int upgrades = 0;
  const auto upgrade = [&](v1::Account& old) {
    ++upgrades;
    return m_->make<v2::Account>(old);
  };
  auto* const made = m_->root<v2::Account>("account", upgrade);
  ASSERT_NE(made, nullptr) << last_error();
  EXPECT_EQ(made->id, 7);
  EXPECT_EQ(made->balance, 12.5);
  EXPECT_STREQ(made->currency, "EUR");
  EXPECT_EQ(m_->root<v2::Account>("account", upgrade), made);
  EXPECT_EQ(upgrades, 1);
  EXPECT_LE(LiveBytes(), before + 64) << "the older object is freed";
  ReOpen();
  EXPECT_EQ(m_->root<v2::Account>("account"), made);
  m_->destroy(made);
}

TEST_F(TypedRootsTest, WhatIsNeitherIsRefusedAndStays) {
  ASSERT_TRUE(m_->set_root("x", m_->make<Celsius>()).ok());
  const auto never = [](v1::Account&) -> v2::Account* {
    ADD_FAILURE();
    return nullptr;
  };
  const std::string why = WhyNot(m_->root<v2::Account>("x", never));
  EXPECT_NE(why.find("'Celsius'"), std::string::npos) << why;
  EXPECT_NE(why.find("'v2::Account'"), std::string::npos) << why;
  EXPECT_EQ(m_->root<v2::Account>("none", never), nullptr);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_NE(m_->root<Celsius>("x"), nullptr);
}

TEST_F(TypedRootsTest, AnUpgradeMayLieInPlaceAndMayFail) {
  auto* const old = m_->make<Celsius>();
  ASSERT_TRUE(m_->set_root("t", old).ok());
  EXPECT_EQ((m_->root<Fahrenheit>("t", [](Celsius&) -> Fahrenheit* { return nullptr; })), nullptr);
  EXPECT_EQ(m_->root<Celsius>("t"), old);
  auto* const made = m_->root<Fahrenheit>("t", [](Celsius& celsius) {
    const double degrees = celsius.degrees * 9 / 5 + 32;
    return new (&celsius) Fahrenheit{degrees};
  });
  EXPECT_EQ(static_cast<void*>(made), old);
  EXPECT_EQ(m_->root<Fahrenheit>("t")->degrees, 68);
  EXPECT_THROW((m_->root<Celsius>("t", [](Fahrenheit&) -> Celsius* { throw 1; })), int);
  EXPECT_NE(m_->root<Fahrenheit>("t"), nullptr);
}

TEST_F(TypedRootsTest, NothingIsUpgradedInAMorselThatIsOnlyRead) {
  ASSERT_TRUE(m_->set_root("t", m_->make<Celsius>()).ok());
  ReOpen(MORSEL_READ_ONLY);
  WhyNot(m_->root<Fahrenheit>("t", [](Celsius&) -> Fahrenheit* {
    ADD_FAILURE();
    return nullptr;
  }));
}

TEST_F(TypedRootsTest, FindOrMakeMakesOnceAndFindsThen) {
  auto* const numbers = m_->find_or_make<Vector<int>>("numbers", 3, 5);
  ASSERT_NE(numbers, nullptr) << last_error();
  EXPECT_EQ(numbers->size(), 3u);
  EXPECT_EQ(m_->find_or_make<Vector<int>>("numbers"), numbers);
  ReOpen();
  EXPECT_EQ(m_->find_or_make<Vector<int>>("numbers"), numbers);
  WhyNot(m_->find_or_make<v1::Account>("numbers"));
  Vector<int> other(m_->allocator<int>());
  other.assign(100, 1);
  EXPECT_EQ(morsel_of(other.data()), m_->handle());
}

TEST_F(TypedRootsTest, ThreadsThatMakeOneRootGetOneObject) {
  const int alive = v2::Account::alive;
  for (int round = 0; round < 50; ++round) {
    const std::string name = "account " + std::to_string(round);
    std::atomic<int> waiting = 4;
    std::vector<v2::Account*> got(4);
    std::vector<std::thread> threads;
    for (v2::Account*& one : got) {
      threads.emplace_back([&] {
        --waiting;
        while (waiting > 0) std::this_thread::yield();
        one = m_->find_or_make<v2::Account>(name.c_str());
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_NE(got[0], nullptr) << last_error();
    EXPECT_EQ(std::set<v2::Account*>(got.begin(), got.end()).size(), 1u);
    EXPECT_EQ(v2::Account::alive, alive + round + 1) << "what the others have made is destroyed";
  }
}

TEST_F(TypedRootsTest, WhatIsAllowedMayHaveVirtualFunctions) {
  EXPECT_NE(m_->make<Mended>(), nullptr);
  EXPECT_TRUE(m_->set_root("mended", m_->make<Mended>()).ok());
  EXPECT_NE(m_->root<Mended>("mended"), nullptr);
}

// What a container keeps is no part of its size. A type that only its elements have changed is
// another, and one that was kept before elements counted is any.
TEST_F(TypedRootsTest, ElementsAreAPartOfTheTypeOfAContainer) {
  struct Tree : std::pmr::map<int, Tree> {};  // keeps itself
  using morsel::impl::LayoutOf;
  EXPECT_EQ(LayoutOf<Celsius>(), 0u);
  EXPECT_EQ(LayoutOf<Fahrenheit>(), 1u);
  const std::set<uint32_t> different = {
      LayoutOf<std::pmr::vector<v1::Account>>(),
      LayoutOf<std::pmr::vector<v2::Account>>(),
      LayoutOf<std::pmr::vector<Celsius>>(),
      LayoutOf<std::pmr::vector<Fahrenheit>>(),
      LayoutOf<std::pmr::map<int, std::pmr::vector<Fahrenheit>>>(),
      LayoutOf<std::pmr::map<int, std::optional<std::pair<int, v1::Account>>>>(),
      LayoutOf<std::pmr::map<std::pmr::string, std::pmr::vector<int>>>(),
      LayoutOf<std::pmr::map<std::pmr::string, std::pmr::vector<char>>>(),
      LayoutOf<Tree>(),
  };
  EXPECT_EQ(different.size(), 9u);
  for (const uint32_t layout : different) EXPECT_GE(layout, 0x80000000u);

  using std::pmr::vector;
  EXPECT_NE(LayoutOf<vector<v1::Currency>>(), LayoutOf<vector<v2::Currency>>());
  EXPECT_NE((LayoutOf<std::pmr::map<int, v1::Currency>>()),
            (LayoutOf<std::pmr::map<int, v2::Currency>>()));
  EXPECT_NE(LayoutOf<vector<v1::Amount>>(), LayoutOf<vector<v2::Amount>>());
  EXPECT_NE(LayoutOf<vector<v1::Row>>(), LayoutOf<vector<v2::Row>>());
  EXPECT_NE(LayoutOf<vector<v1::Ring>>(), LayoutOf<vector<v2::Ring>>());
  EXPECT_NE(LayoutOf<vector<v1::Pair>>(), LayoutOf<vector<v2::Pair>>());
  EXPECT_NE((LayoutOf<vector<std::array<char, 8>>>()), (LayoutOf<vector<std::array<double, 1>>>()));

  using Old = std::pmr::vector<v1::Account>;
  using New = std::pmr::vector<v2::Account>;
  ASSERT_NE(m_->find_or_make<Old>("accounts", size_t{3}), nullptr);
  EXPECT_NE(m_->root<Old>("accounts"), nullptr);
  EXPECT_NE(WhyNot(m_->root<New>("accounts")).find("elements"), std::string::npos);
  const auto upgraded = m_->root<New>("accounts", [&](Old& old) {
    New* const made = m_->make<New>();
    for (const v1::Account& one : old) made->emplace_back(one);
    return made;
  });
  ASSERT_NE(upgraded, nullptr) << last_error();
  EXPECT_EQ(upgraded->size(), 3u);
  EXPECT_EQ(m_->root<Old>("accounts"), nullptr);

  auto* const before = m_->make<Old>();
  morsel_type type = morsel::impl::StoredType<Old>().type;
  type.layout = 0;
  ASSERT_EQ(morsel_set_root_typed(m_->handle(), "before", before, &type, 0), MORSEL_OK);
  EXPECT_EQ(m_->root<Old>("before"), before);
  ASSERT_TRUE(m_->set_root("since", before).ok());
  EXPECT_EQ(morsel_root_typed(m_->handle(), "since", &type), before);
}

TEST(MayBeStored, WhatKeepsOrdinaryMemoryMayNot) {
  using morsel::may_be_stored;
  EXPECT_TRUE(
      (may_be_stored<int> && may_be_stored<std::pmr::string> && may_be_stored<Vector<int>>));
  EXPECT_FALSE(may_be_stored<std::string>);
  EXPECT_FALSE(may_be_stored<std::vector<int>>);
  EXPECT_FALSE((may_be_stored<std::map<int, int>>));
  EXPECT_FALSE(may_be_stored<std::unique_ptr<int>>);
  EXPECT_FALSE(may_be_stored<std::shared_ptr<int>>);
  EXPECT_FALSE(may_be_stored<std::function<void()>>);
  EXPECT_FALSE(may_be_stored<std::any>);
  struct Nothing {
    void operator()(int*) const {}
  };
  EXPECT_FALSE((may_be_stored<std::unique_ptr<int, Nothing>>));
  EXPECT_FALSE(may_be_stored<std::optional<std::pmr::string>>);
  EXPECT_TRUE(may_be_stored<std::optional<int>>);
  EXPECT_FALSE(may_be_stored<void (*)()>);
}

TEST_F(TypedRootsTest, AllBlocksAreVisitedButThoseOfRoots) {
  std::map<void*, size_t> due;
  for (int i = 0; i < 300; ++i) {
    for (const size_t bytes : {size_t{16}, size_t{100}, size_t{5000}, size_t{200'000}}) {
      void* const block = m_->malloc(bytes);
      ASSERT_NE(block, nullptr) << last_error();
      if (i % 3 == 0) {
        m_->free(block);
        continue;
      }
      due[block] = m_->usable_size(block);
      ASSERT_TRUE(m_->set_root(("root " + std::to_string(due.size())).c_str(), block).ok());
    }
  }
  // Another thread has blocks at hand, and frees some of this one's.
  std::thread([&] {
    for (int i = 0; i < 10; ++i) {
      void* const block = m_->malloc(100);
      due[block] = m_->usable_size(block);
    }
    for (int i = 0; i < 10; ++i) {
      m_->free(due.begin()->first);
      due.erase(due.begin());
    }
  }).join();
  std::map<void*, size_t> seen;
  ASSERT_TRUE(m_->for_each_block([&](void* block, size_t bytes) {
                  EXPECT_TRUE(seen.empty() || seen.rbegin()->first < block);
                  seen[block] = bytes;
                }).ok());
  EXPECT_EQ(seen, due);
  int visits = 0;
  const auto first = [](void*, size_t, void* count) { return ++*static_cast<int*>(count); };
  EXPECT_EQ(morsel_for_each_block(m_->handle(), first, &visits), MORSEL_OK);
  EXPECT_EQ(visits, 1);
  EXPECT_THROW((void)m_->for_each_block([](void*, size_t) { throw 1; }), int);
}

TEST_F(TypedRootsTest, AfterTheLastRootNothingIsLeftOfThem) {
  void* const object = m_->malloc(64);
  const uint64_t before = LiveBytes();
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(m_->set_root(("root " + std::to_string(i)).c_str(), object).ok()) << last_error();
  }
  EXPECT_GT(LiveBytes(), before + 20'000 * 48);
  ReOpen();
  for (int i = 0; i < 20'000; ++i) {
    const std::string name = "root " + std::to_string(i);
    ASSERT_EQ(m_->root(name.c_str()), object) << last_error();
    ASSERT_TRUE(m_->set_root(name.c_str(), nullptr).ok()) << last_error();
  }
  EXPECT_EQ(LiveBytes(), before);
}

}  // namespace
