// Where a root's object lies counts: one is upgraded that may be freed, and by one of the same
// morsel; none is read behind the end of its block.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

namespace {

using morsel::last_error;

struct Old {
  int64_t id = 7;
  double balance = 12.5;
};
struct New {
  New() = default;
  explicit New(const Old& old) : id(old.id), balance(old.balance) {}
  int64_t id = 0;
  char currency[8] = "EUR";
  double balance = 0;
};
struct Celsius {
  double degrees = 20;
};

class RootObjects : public testing::Test {
 protected:
  static std::string WhyNot(const void* root) {
    EXPECT_EQ(root, nullptr);
    EXPECT_EQ(errno, EINVAL);
    return last_error();
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  morsel::Pool pool_ = *morsel::Pool::open(scratch_.At("pool"), {.flags = MORSEL_CREATE});
  morsel::Morsel opened_ = *morsel::Morsel::open(pool_, "m", {.flags = MORSEL_CREATE});
  morsel::Morsel* m_ = &opened_;
};

// An old object that others lead to, or that has no block of its own, cannot be freed.
TEST_F(RootObjects, WhatCannotBeReplacedIsNotUpgraded) {
  const auto never = [](Old&) -> New* {
    ADD_FAILURE();
    return nullptr;
  };
  auto* const pair = m_->make<std::pair<New, Old>>();
  ASSERT_TRUE(m_->set_root("inside", &pair->second).ok());
  std::string why = WhyNot(m_->root<New>("inside", never));
  EXPECT_NE(why.find("no block begins at 0x"), std::string::npos) << why;
  EXPECT_EQ(m_->root<Old>("inside"), &pair->second);

  auto* const old = m_->make<Old>();
  ASSERT_TRUE(m_->set_root("one", old).ok());
  ASSERT_TRUE(m_->set_root("other", &old->balance).ok());
  why = WhyNot(m_->root<New>("one", never));
  EXPECT_NE(why.find("root 'other' leads to it, too"), std::string::npos) << why;
  ASSERT_TRUE(m_->set_root("other", nullptr).ok());
  const auto upgrade = [&](Old& old) { return m_->make<New>(old); };
  EXPECT_NE(m_->root<New>("one", upgrade), nullptr) << last_error();
}

TEST_F(RootObjects, AnUpgradeThatLiesElsewhereIsRefusedAndTheOldOneStays) {
  auto* const old = m_->make<Old>();
  ASSERT_TRUE(m_->set_root("account", old).ok());
  morsel::Morsel other = *morsel::Morsel::open(pool_, "other", {.flags = MORSEL_CREATE});
  New local;
  auto* const elsewhere = other.make<New>();
  for (New* const made : {&local, elsewhere}) {
    const std::string why = WhyNot(m_->root<New>("account", [&](Old&) { return made; }));
    EXPECT_NE(why.find("lies in no live block of morsel 'm'"), std::string::npos) << why;
    EXPECT_EQ(m_->root<Old>("account"), old);
  }
  other.destroy(elsewhere);
}

// Its place may be any in the block of the old one.
TEST_F(RootObjects, AnUpgradeInsideOfTheOldOneKeepsItsBlock) {
  auto* const old = m_->make<Old>();
  ASSERT_TRUE(m_->set_root("account", old).ok());
  auto* const made = m_->root<Celsius>(
      "account", [](Old& old) { return new (&old.balance) Celsius{old.balance}; });
  EXPECT_EQ(static_cast<void*>(made), &old->balance);
  EXPECT_EQ(m_->root<Celsius>("account")->degrees, 12.5);
  m_->free(old);
}

// Under the guard a block ends where the program asked for it to end.
TEST_F(RootObjects, AGuardedBlockHasTheBytesThatWereAskedFor) {
  ASSERT_EQ(setenv("MORSEL_GUARD", "1", 1), 0);
  morsel::Morsel guarded = *morsel::Morsel::open(pool_, "guarded", {.flags = MORSEL_CREATE});
  ASSERT_EQ(unsetenv("MORSEL_GUARD"), 0);
  char* const block = static_cast<char*>(guarded.malloc(sizeof(Old)));
  ASSERT_EQ(morsel_set_root(guarded.handle(), "c", block), MORSEL_OK);
  EXPECT_NE(guarded.root<Old>("c"), nullptr) << last_error();
  WhyNot(guarded.root<New>("c"));
  ASSERT_EQ(morsel_set_root(guarded.handle(), "c", block + 8), MORSEL_OK);
  EXPECT_NE(guarded.root<Celsius>("c"), nullptr) << last_error();
  WhyNot(guarded.root<Old>("c"));
  guarded.free(block);
  WhyNot(guarded.root<Celsius>("c"));
  ASSERT_TRUE(guarded.set_root("c", nullptr).ok());
}

// What has no type is taken for any, but not read behind the end of its block.
TEST_F(RootObjects, AnObjectWithoutATypeHasToHaveTheBytes) {
  struct Large {
    char bytes[300'000];
  };
  for (const size_t bytes : {size_t{8}, size_t{100}, size_t{5000}, size_t{99'000}}) {
    char* const block = static_cast<char*>(m_->malloc(bytes));
    ASSERT_EQ(morsel_set_root(m_->handle(), "c", block), MORSEL_OK);
    const std::string why = WhyNot(m_->root<Large>("c"));
    EXPECT_NE(why.find("has no type, and its block has "), std::string::npos) << why;
    EXPECT_EQ(m_->root<char>("c"), block);
    EXPECT_NE(m_->root<Celsius>("c"), nullptr) << last_error();
    WhyNot(m_->root<Large>("c", [](Celsius&) -> Large* { return nullptr; }));
    char* const last = block + m_->usable_size(block) - sizeof(int32_t);
    ASSERT_EQ(morsel_set_root(m_->handle(), "c", last), MORSEL_OK);
    EXPECT_NE(m_->root<int32_t>("c"), nullptr) << last_error();
    WhyNot(m_->root<Celsius>("c"));
    m_->free(block);
    const std::string freed = WhyNot(m_->root<int32_t>("c"));
    EXPECT_NE(freed.find("where no block is allocated"), std::string::npos) << freed;
  }
}

}  // namespace
