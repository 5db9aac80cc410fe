// What Morsel::make() and the elements of containers allocate lies in the morsel, too.
#include <gtest/gtest.h>

#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <scoped_allocator>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

// For tests of what happens to them all the same.
MORSEL_ALLOW(std::string);
MORSEL_ALLOW(std::unique_ptr<int>);

namespace {

using morsel::Allocator;

template <class T>
using Vector = std::vector<T, Allocator<T>>;
using String = std::basic_string<char, std::char_traits<char>, Allocator<char>>;
template <class Key, class Value>
using Map = std::map<Key, Value, std::less<>, Allocator<std::pair<const Key, Value>>>;

// Longer than what fits into any string itself.
constexpr char kText[] = "a text that needs memory of its own, wherever the string lies";

class Construction : public testing::Test {
 protected:
  Construction() {
    auto pool = morsel::Pool::open(scratch_.At("pool"), {.flags = MORSEL_CREATE});
    EXPECT_TRUE(pool) << morsel::last_error();
    pool_.emplace(std::move(*pool));
    auto opened = morsel::Morsel::open(*pool_, "m", {.flags = MORSEL_CREATE});
    EXPECT_TRUE(opened) << morsel::last_error();
    m_ = std::move(*opened);
  }
  bool Has(const void* address) const { return morsel_of(address) == m_.handle(); }
  // Whether the text lies in the morsel, its bytes too.
  template <class Text>
  bool HasAll(const Text& text) const {
    return Has(&text) && Has(text.data()) && text == kText;
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  std::optional<morsel::Pool> pool_;
  morsel::Morsel m_;
};

// Takes an allocator behind its other arguments.
struct Person {
  using allocator_type = std::pmr::polymorphic_allocator<>;
  explicit Person(const char* text, const allocator_type& allocator = {}) : name(text, allocator) {}
  Person(const Person& other, const allocator_type& allocator = {}) : name(other.name, allocator) {}
  std::pmr::string name;
};

// Takes one before them.
struct Town {
  using allocator_type = Allocator<std::byte>;
  Town(std::allocator_arg_t, const allocator_type& allocator, const char* text)
      : name(text, allocator) {}
  String name;
};

TEST_F(Construction, WhatTakesAnAllocatorGetsTheMorsels) {
  EXPECT_TRUE(HasAll(*m_.make<std::pmr::string>(kText)));
  EXPECT_TRUE(HasAll(*m_.make<const std::pmr::string>(kText)));
  EXPECT_TRUE(HasAll(*m_.make<String>(kText)));
  EXPECT_TRUE(HasAll(m_.make<Person>(kText)->name));
  EXPECT_TRUE(HasAll(m_.make<Person>(Person(kText))->name));
  EXPECT_TRUE(HasAll(m_.make<Town>(kText)->name));
  EXPECT_TRUE(Has(m_.make<Vector<int>>(std::size_t{100}, 7)->data()));
  EXPECT_TRUE(Has(m_.make<std::pmr::vector<int>>(std::size_t{100})->data()));
}

TEST_F(Construction, ItPassesThroughPairsAndTuples) {
  using Text = std::pmr::string;
  const auto* const two = m_.make<std::pair<Text, String>>(kText, kText);
  EXPECT_TRUE(HasAll(two->first));
  EXPECT_TRUE(HasAll(two->second));
  const std::pair<const char*, int> plain(kText, 4);
  const auto* const of_a_pair = m_.make<std::pair<Text, int>>(plain);
  EXPECT_TRUE(HasAll(of_a_pair->first));
  EXPECT_EQ(of_a_pair->second, 4);
  using Nested = std::pair<int, std::pair<Text, Person>>;
  const auto* const nested = m_.make<Nested>(3, std::pair(kText, Person(kText)));
  EXPECT_TRUE(HasAll(nested->second.first));
  EXPECT_TRUE(HasAll(nested->second.second.name));
  const auto* const in_pieces = m_.make<std::pair<Text, Vector<int>>>(
      std::piecewise_construct, std::forward_as_tuple(kText), std::tuple<size_t, int>(100, 1));
  EXPECT_TRUE(HasAll(in_pieces->first));
  EXPECT_TRUE(Has(in_pieces->second.data()));
  auto* const empty = m_.make<std::pair<Text, String>>();
  empty->second = kText;
  EXPECT_TRUE(HasAll(empty->second));
  const auto* const three = m_.make<std::tuple<int, Text, Person>>(1, kText, kText);
  EXPECT_TRUE(HasAll(std::get<1>(*three)));
  EXPECT_TRUE(HasAll(std::get<2>(*three).name));
}

TEST_F(Construction, ElementsOfContainersGetTheirContainers) {
  auto* const strings = m_.make<Vector<std::pmr::string>>();
  auto* const people = m_.make<std::pmr::vector<Person>>();
  auto* const rows = m_.make<Vector<Vector<String>>>();
  for (int i = 0; i < 20; ++i) {  // some of them move
    strings->emplace_back(kText);
    people->emplace_back(kText);
    rows->emplace_back().emplace_back(kText);
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(HasAll(strings->at(i)));
    EXPECT_TRUE(HasAll(people->at(i).name));
    EXPECT_TRUE(HasAll(rows->at(i).at(0)));
  }
  auto* const map = m_.make<Map<String, std::pmr::string>>();
  (*map)[String(kText, Allocator<char>(m_))] = kText;
  map->try_emplace(String("b", Allocator<char>(m_)), kText);
  EXPECT_EQ(map->size(), 2u);
  EXPECT_TRUE(HasAll(map->begin()->first));
  for (const auto& [key, value] : *map) EXPECT_TRUE(HasAll(value)) << key;
  auto* const pairs =
      m_.make<std::list<std::pair<int, String>, Allocator<std::pair<int, String>>>>();
  pairs->emplace_back(1, kText);
  EXPECT_TRUE(HasAll(pairs->back().second));
}

TEST_F(Construction, AGivenAllocatorIsKept) {
  auto* const elsewhere = std::pmr::new_delete_resource();
  auto* const text = m_.make<std::pmr::string>(kText, elsewhere);
  EXPECT_FALSE(Has(text->data()));
  EXPECT_EQ(text->get_allocator().resource(), elsewhere);
  m_.destroy(text);
  const auto* const here = m_.make<std::pmr::string>(kText, m_.resource());
  EXPECT_TRUE(HasAll(*here));
  auto* const numbers = m_.make<std::pmr::vector<int>>(size_t{100}, elsewhere);
  EXPECT_FALSE(Has(numbers->data()));
  m_.destroy(numbers);
  // An adaptor passes the allocator itself.
  using Adaptor = std::scoped_allocator_adaptor<Allocator<std::pair<const int, String>>>;
  auto* const map = m_.make<std::map<int, String, std::less<>, Adaptor>>();
  (*map)[1] = kText;
  map->emplace(2, kText);
  EXPECT_TRUE(HasAll(map->at(1)));
  EXPECT_TRUE(HasAll(map->at(2)));
}

struct Sum {
  int a;
  int b;
};

class OnlyMorselsMakeIt {
 public:
  int value() const { return value_; }

 private:
  friend class morsel::Morsel;
  explicit OnlyMorselsMakeIt(int value) : value_(value) {}
  int value_;
};

TEST_F(Construction, WhatTakesNoneIsAsItWas) {
  EXPECT_EQ(m_.make<Sum>(Sum{1, 2})->b, 2);
  EXPECT_EQ(m_.make<OnlyMorselsMakeIt>(5)->value(), 5);
  const auto* const pair = m_.make<std::pair<int, double>>(1, 2.5);
  EXPECT_EQ(pair->second, 2.5);
  const auto* const tuple = m_.make<std::tuple<int, int>>(1, 2);
  EXPECT_EQ(std::get<1>(*tuple), 2);
  auto* const owner = m_.make<std::pair<int, std::unique_ptr<int>>>(1, std::make_unique<int>(6));
  EXPECT_EQ(*owner->second, 6);
  m_.destroy(owner);
  auto* const text = m_.make<std::string>(kText);
  EXPECT_FALSE(Has(text->data()));
  m_.destroy(text);
  static_assert(noexcept(std::declval<Allocator<int>&>().construct(std::declval<int*>(), 1)));
}

TEST_F(Construction, AnAllocatorOfAnEmptyHandleHasNoMemory) {
  const morsel::Morsel empty;
  EXPECT_THROW((void)Vector<int>(1, empty.allocator<int>()), std::bad_alloc);
  EXPECT_THROW((void)Vector<int>(1, Allocator<int>(empty)), std::bad_alloc);
  EXPECT_THROW((void)std::pmr::vector<int>(1, empty.allocator<int>()), std::bad_alloc);
  const Vector<int> none(empty.allocator<int>());
  EXPECT_THROW((void)Vector<int>(1, none.get_allocator()), std::bad_alloc);
}

// A copy of a container in a morsel that is open for reading only lies in ordinary memory, and so
// do its elements.
TEST_F(Construction, ElementsOfACopyOutsideLieOutside) {
  ASSERT_TRUE(m_.set_root("strings", m_.make<Vector<std::pmr::string>>(size_t{3}, kText)).ok());
  ASSERT_TRUE(m_.close().ok());
  auto again = morsel::Morsel::open(*pool_, "m", {.flags = MORSEL_READ_ONLY});
  ASSERT_TRUE(again) << morsel::last_error();
  const auto copy = *again->root<Vector<std::pmr::string>>("strings");
  EXPECT_EQ(copy.back(), kText);
  EXPECT_EQ(morsel_of(copy.data()), nullptr);
  EXPECT_EQ(morsel_of(copy.back().data()), nullptr);
}

}  // namespace
