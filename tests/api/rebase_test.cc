// A morsel at another address, or of another capacity, is the same one: what containers and
// programs have stored in it leads where it led before.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <string>

#include "tests/api/rebase_testing.h"

namespace {

// Set before main(), so that libpmem2 finds it whenever it looks.
const bool kGranularityIsForced = setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1) == 0;

using namespace rebase_testing;

TEST_F(RebaseTest, ContainersAreTheSameAtAnotherAddress) {
  MakeIndex(pool_, "m");
  void* const before = BaseOf(pool_, "m");
  const Moved moved = Rebase(pool_, "m");
  ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(moved.info.base_before, before);
  EXPECT_NE(moved.info.base, before);
  EXPECT_EQ(BaseOf(pool_, "m"), moved.info.base);
  EXPECT_GT(moved.info.words, 1000u);
  EXPECT_STREQ(moved.info.name, "m");
  CheckIt(pool_, "m");
}

TEST_F(RebaseTest, ItsOwnAddressIsFreeForAnotherAfterwards) {
  MakeIndex(pool_, "m");
  morsel_rebase_options back{};
  back.base = BaseOf(pool_, "m");
  ASSERT_EQ(Rebase(pool_, "m").code, MORSEL_OK) << morsel_last_error();
  ASSERT_EQ(Rebase(pool_, "m", back).code, MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(BaseOf(pool_, "m"), back.base);
  CheckIt(pool_, "m");
}

// The heap's tables take more units then, so that the blocks move inside of the morsel, too.
TEST_F(RebaseTest, ACapacityGrowsFromLessThanAGiB) {
  MakeIndex(pool_, "m", 64 * kMiB);
  morsel_rebase_options options{};
  options.capacity_bytes = 16 * kGiB;
  const Moved moved = Rebase(pool_, "m", options);
  ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(moved.info.capacity_before, 64 * kMiB);
  EXPECT_EQ(moved.info.capacity_bytes, 16 * kGiB);
  CheckIt(pool_, "m");
  // It can be used to its new end.
  morsel::Morsel m = Open(pool_, "m");
  EXPECT_EQ(m.capacity(), 16 * kGiB);
  EXPECT_NE(m.malloc(2 * kGiB), nullptr) << morsel_last_error();
  ASSERT_TRUE(m.discard().ok());
}

TEST_F(RebaseTest, ACapacityGrowsAndShrinksAtTheSameAddress) {
  MakeIndex(pool_, "m", 4 * kGiB);
  morsel_rebase_options options{};
  options.base = BaseOf(pool_, "m");
  options.capacity_bytes = 10000 * kGiB;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_UNSUPPORTED);
  for (const uint64_t capacity_bytes : {1000 * kGiB, 100 * kMiB}) {
    options.capacity_bytes = capacity_bytes;
    const Moved moved = Rebase(pool_, "m", options);
    ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(moved.info.base, options.base);
    CheckIt(pool_, "m");
  }
  {
    morsel::Morsel m = Open(pool_, "m");
    ASSERT_TRUE(m.resize(8 * kMiB).ok());
  }
  options.capacity_bytes = 4 * kMiB;
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
}

// Of each size class a slab and of each size some blocks, with their address in them.
TEST_F(RebaseTest, WhatIsOpenIsBusyAndWhatIsTakenIsToldOf) {
  MakeIndex(pool_, "m", kGiB);
  MakeIndex(pool_, "n", kGiB);
  morsel_rebase_options options{};
  options.base = BaseOf(pool_, "n");
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_ADDRESS_TAKEN);
  EXPECT_NE(std::string(morsel_last_error()).find("'n'"), std::string::npos);
  options.base = reinterpret_cast<void*>(0x1000);
  EXPECT_EQ(Rebase(pool_, "m", options).code, MORSEL_INVALID_ARGUMENT);
  {
    morsel::Morsel m = Open(pool_, "m");
    EXPECT_EQ(Rebase(pool_, "m").code, MORSEL_BUSY);
    morsel::Pool other = OpenPool(scratch_.At("pool"), 0);
    EXPECT_EQ(Rebase(other, "m").code, MORSEL_BUSY);
    EXPECT_NE(std::string(morsel_last_error()).find("another handle"), std::string::npos)
        << morsel_last_error();
    ASSERT_TRUE(m.discard().ok());
  }
  morsel::Pool reading = OpenPool(scratch_.At("pool"), MORSEL_READ_ONLY);
  EXPECT_EQ(Rebase(reading, "m").code, MORSEL_PERMISSION);
  morsel_rebase_options dry{};
  dry.flags = MORSEL_DRY_RUN;
  EXPECT_EQ(Rebase(reading, "m", dry).code, MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(Rebase(pool_, "o").code, MORSEL_NOT_FOUND);
  dry.flags = MORSEL_CREATE;
  EXPECT_EQ(Rebase(pool_, "m", dry).code, MORSEL_INVALID_ARGUMENT);
}

TEST_F(RebaseTest, ACopyIsAMorselOfItsOwn) {
  MakeIndex(pool_, "m");
  const auto copied = pool_.copy("m", "copy");
  ASSERT_TRUE(copied) << morsel_last_error();
  EXPECT_NE(copied->base, copied->base_before);
  EXPECT_EQ(pool_.copy("m", "copy").error(), morsel::Code::kExists);
  EXPECT_EQ(morsel_copy(pool_.handle(), "m", "copy", nullptr, nullptr), MORSEL_EXISTS);
  {
    // Both at once.
    morsel::Morsel m = Open(pool_, "m");
    morsel::Morsel copy = Open(pool_, "copy");
    EXPECT_NE(m.base(), copy.base());
    EXPECT_NE(std::memcmp(m.stat()->id, copy.stat()->id, sizeof m.stat()->id), 0);
    copy.root<Index>("index")->clear();
  }
  CheckIt(pool_, "m");
  morsel::Morsel copy = Open(pool_, "copy");
  EXPECT_TRUE(copy.root<Index>("index")->empty());
}

TEST_F(RebaseTest, AnImageIsImportedBesideTheOriginalAndInItsPlace) {
  MakeIndex(pool_, "m");
  const std::string image = scratch_.At("backup");
  ASSERT_TRUE(pool_.export_to("m", image).ok());
  {
    morsel::Morsel m = Open(pool_, "m");
    m.root<Index>("index")->clear();
  }
  morsel_import_options options{};
  options.struct_size = sizeof options;
  options.name = "beside";
  morsel_rebase_info info{};
  info.struct_size = sizeof info;
  const auto import = [&] {
    return morsel_import_with(pool_.handle(), image.c_str(), &options, &info);
  };
  EXPECT_EQ(import(), MORSEL_ADDRESS_TAKEN);
  options.flags = MORSEL_REBASE;
  ASSERT_EQ(import(), MORSEL_OK) << morsel_last_error();
  EXPECT_NE(info.base, info.base_before);
  CheckIt(pool_, "beside");
  const auto third = pool_.import_from(image, {.flags = MORSEL_REBASE, .name = "third"});
  ASSERT_TRUE(third) << morsel_last_error();
  EXPECT_STREQ(third->name, "third");
  EXPECT_EQ(pool_.import_from(image, {.flags = MORSEL_CREATE}).error(),
            morsel::Code::kInvalidArgument);
  CheckIt(pool_, "third");
  // Without a name it has the one that it had.
  options = {};
  EXPECT_EQ(import(), MORSEL_EXISTS);
  options.flags = MORSEL_REPLACE;
  {
    const morsel::Morsel m = Open(pool_, "m");
    EXPECT_EQ(import(), MORSEL_BUSY);
  }
  ASSERT_EQ(import(), MORSEL_OK) << morsel_last_error();
  EXPECT_STREQ(info.name, "m");
  EXPECT_EQ(info.base, info.base_before);
  CheckIt(pool_, "m");
  // In place of one at another address, and of none.
  options.name = "beside";
  EXPECT_EQ(import(), MORSEL_ADDRESS_TAKEN);
  options.flags = MORSEL_REPLACE | MORSEL_REBASE;
  ASSERT_EQ(import(), MORSEL_OK) << morsel_last_error();
  options.name = "new";
  ASSERT_EQ(import(), MORSEL_OK) << morsel_last_error();
  CheckIt(pool_, "beside");
  CheckIt(pool_, "new");
}

// Both kinds of fine morsels.
class FineRebaseTest : public RebaseTest, public testing::WithParamInterface<bool> {
 protected:
  morsel::Pool fine_ =
      GetParam() ? OpenPool(scratch_.At("carved"), MORSEL_CREATE | MORSEL_CARVED, 64 * kMiB)
                 : OpenPool(scratch_.At("fine"), MORSEL_CREATE);
};

INSTANTIATE_TEST_SUITE_P(Pools, FineRebaseTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Carved" : "Directory"; });

TEST_P(FineRebaseTest, AFineMorselMoves) {
  ASSERT_TRUE(kGranularityIsForced);
  MakeIndex(fine_, "m", 64 * kMiB, MORSEL_FINE);
  const Moved moved = Rebase(fine_, "m");
  ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
  EXPECT_NE(moved.info.base, moved.info.base_before);
  CheckIt(fine_, "m");
  morsel_rebase_options options{};
  // It is no multiple of 1 GiB.
  options.base = reinterpret_cast<void*>((uint64_t{0x1700} << 32) + 2 * kMiB);
  options.capacity_bytes = 2 * kGiB;
  EXPECT_EQ(Rebase(fine_, "m", options).code, MORSEL_INVALID_ARGUMENT);
  options.base = nullptr;
  ASSERT_EQ(Rebase(fine_, "m", options).code, MORSEL_OK) << morsel_last_error();
  CheckIt(fine_, "m");
  ASSERT_EQ(morsel_copy(fine_.handle(), "m", "copy", nullptr, nullptr), MORSEL_OK)
      << morsel_last_error();
  CheckIt(fine_, "copy");
  const std::string image = scratch_.At("image");
  ASSERT_TRUE(fine_.export_to("m", image).ok());
  morsel_import_options import{};
  import.flags = MORSEL_REPLACE;
  ASSERT_EQ(morsel_import_with(fine_.handle(), image.c_str(), &import, nullptr), MORSEL_OK)
      << morsel_last_error();
  CheckIt(fine_, "m");
}

TEST_F(RebaseTest, WithoutSpaceForTwoNothingHasChanged) {
  morsel::Pool carved = OpenPool(scratch_.At("small"), MORSEL_CREATE | MORSEL_CARVED, 6 * kMiB);
  {
    morsel::Morsel m =
        Open(carved, "m", {.flags = MORSEL_CREATE | MORSEL_FINE, .size_bytes = 4 * kMiB});
  }
  void* const before = BaseOf(carved, "m");
  EXPECT_EQ(Rebase(carved, "m").code, MORSEL_NO_SPACE);
  EXPECT_EQ(BaseOf(carved, "m"), before);
  ExpectSound(carved);
}

}  // namespace
