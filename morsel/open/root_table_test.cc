#include "morsel/open/root_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace morsel {
namespace {

// A medium that makes whole lines durable: a fence copies the lines that were flushed.
struct Medium {
  alignas(64) RootEntry entries[kRootCount] = {};
  RootEntry durable[kRootCount] = {};
  std::vector<std::pair<size_t, size_t>> flushed;
  std::vector<std::vector<RootEntry>> at_each_fence;

  pmem::Persist persist() {
    static constexpr pmem::PersistTable kTable = {
        .flush =
            [](void* context, const void* address, size_t size_bytes) {
              auto& medium = *static_cast<Medium*>(context);
              const size_t offset = static_cast<size_t>(static_cast<const char*>(address) -
                                                        reinterpret_cast<char*>(medium.entries));
              const size_t begin = offset / 64 * 64;
              medium.flushed.emplace_back(begin, (offset + size_bytes + 63) / 64 * 64 - begin);
            },
        .fence =
            [](void* context) {
              auto& medium = *static_cast<Medium*>(context);
              for (const auto& [begin, size] : medium.flushed) {
                std::memcpy(reinterpret_cast<char*>(medium.durable) + begin,
                            reinterpret_cast<char*>(medium.entries) + begin, size);
              }
              medium.flushed.clear();
              medium.at_each_fence.emplace_back(medium.durable, medium.durable + kRootCount);
            },
    };
    return {&kTable, this};
  }
};

struct RootTableTest : testing::Test {
  std::unique_ptr<Medium> medium = std::make_unique<Medium>();
  RootTable table{medium->entries, medium->persist()};
  int a = 0;
  int b = 0;
};

TEST_F(RootTableTest, FindReturnsWhatSetHasSet) {
  EXPECT_EQ(table.Find("a"), nullptr);
  ASSERT_TRUE(table.Set("a", &a).ok());
  ASSERT_TRUE(table.Set("b", &b).ok());
  EXPECT_EQ(table.Find("a"), &a);
  EXPECT_EQ(table.Find("b"), &b);
  ASSERT_TRUE(table.Set("a", &b).ok());
  EXPECT_EQ(table.Find("a"), &b);
  ASSERT_TRUE(table.Set("a", nullptr).ok());
  EXPECT_EQ(table.Find("a"), nullptr);
  EXPECT_EQ(table.Set("a", nullptr).code(), Code::kNotFound);
}

TEST_F(RootTableTest, SetIsDurableOnReturn) {
  ASSERT_TRUE(table.Set("a", &a).ok());
  EXPECT_EQ(RootTable(medium->durable, medium->persist()).Find("a"), &a);
  ASSERT_TRUE(table.Set("a", nullptr).ok());
  EXPECT_EQ(RootTable(medium->durable, medium->persist()).Find("a"), nullptr);
}

// An entry has two lines. The first 64 bytes of a long name lie on one, the rest of it lies on the
// other, beside the object.
TEST_F(RootTableTest, TheNameIsDurableBeforeTheObject) {
  const std::string old_name(kRootNameBytesMax, 'o');
  const std::string new_name(kRootNameBytesMax, 'n');
  ASSERT_TRUE(table.Set(old_name.c_str(), &a).ok());
  ASSERT_TRUE(table.Set(old_name.c_str(), nullptr).ok());
  medium->at_each_fence.clear();
  ASSERT_TRUE(table.Set(new_name.c_str(), &b).ok());
  ASSERT_EQ(medium->at_each_fence.size(), 2u);
  EXPECT_EQ(medium->at_each_fence[0][0].object, 0u);
  EXPECT_EQ(std::string(medium->at_each_fence[0][0].name), new_name);
  EXPECT_EQ(medium->at_each_fence[1][0].object, reinterpret_cast<uint64_t>(&b));
}

TEST_F(RootTableTest, RefusesNamesThatDoNotFit) {
  EXPECT_EQ(table.Set("", &a).code(), Code::kInvalidArgument);
  EXPECT_EQ(table.Set(std::string(kRootNameBytesMax + 1, 'x').c_str(), &a).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(table.Find(std::string(300, 'x').c_str()), nullptr);
}

TEST_F(RootTableTest, SetOfANewRootFailsIfTheTableIsFull) {
  for (uint64_t i = 0; i < kRootCount; ++i) {
    ASSERT_TRUE(table.Set(std::to_string(i).c_str(), &a).ok());
  }
  EXPECT_EQ(table.Set("one more", &a).code(), Code::kNoSpace);
  ASSERT_TRUE(table.Set("7", nullptr).ok());
  EXPECT_TRUE(table.Set("one more", &a).ok());
  EXPECT_EQ(table.Find("255"), &a);
}

}  // namespace
}  // namespace morsel
