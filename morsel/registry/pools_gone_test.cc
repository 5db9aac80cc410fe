// What pools had that are gone: removed, made anew under their path, or on a disk that is not
// there.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "morsel/registry/address_registry_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

class PoolsGoneTest : public AddressRegistryTest {};

TEST_F(PoolsGoneTest, APoolThatIsGoneGivesItsAddressesBack) {
  const Window window = {0x160000000000, 0x160000000000 + kGiB};
  const auto a = Pool("a", 1, window);
  const auto b = Pool("b", 2, window);
  while (a->Make()) continue;
  fs::remove_all(scratch_.At("a"));
  EXPECT_TRUE(b->Make().has_value()) << LastError();
  const auto holders = registry_.Holders();
  ASSERT_TRUE(holders.has_value());
  ASSERT_EQ(holders->size(), 1u);
  EXPECT_EQ((*holders)[0].path, scratch_.At("b"));
}

// The folder, or only what was in it.
TEST_F(PoolsGoneTest, APoolThatWasMadeAnewUnderItsPathGivesItsAddressesBack) {
  const Window window = {0x160000000000, 0x160000000000 + kGiB};
  for (unsigned char round = 1; round < 6; ++round) {
    SCOPED_TRACE(int{round});
    fs::remove_all(round % 2 == 0 ? scratch_.At("a") : scratch_.At("a") + "/.morsel-pool");
    const auto a = Pool("a", round, window);
    while (a->Make()) continue;
    EXPECT_EQ(a->morsels().size(), 16u);
    const auto holders = registry_.Holders();
    ASSERT_TRUE(holders.has_value());
    EXPECT_EQ(holders->size(), 1u);
  }
}

// The id cannot be read, so that nothing is known.
TEST_F(PoolsGoneTest, APoolWhoseFileIsDamagedKeepsItsAddresses) {
  const auto a = Pool("a", 1);
  a->Make();
  const std::string file = scratch_.At("a") + "/" + kPoolFileName;
  for (const std::string& bytes : {std::string(), std::string(128, 'x')}) {
    std::ofstream(file, std::ios::binary) << bytes;
    EXPECT_EQ(registry_.Holders()->size(), 1u);
  }
}

TEST_F(PoolsGoneTest, WhatWasOnADeviceBeforeIsGivenBackToThePoolThatIsThere) {
  const Window window = {0x160000000000, 0x160000000000 + kGiB};
  for (unsigned char round = 1; round < 4; ++round) {
    const auto a = Pool("a", round, window);
    a->pool().is_device = true;
    while (a->Make()) continue;
    EXPECT_EQ(a->morsels().size(), 16u) << int{round};
  }
}

// Its file was damaged and is made anew, and the morsels are still there.
TEST_F(PoolsGoneTest, APoolThatGetsAnotherIdKeepsTheAddressesOfItsMorsels) {
  const auto a = Pool("a", 1);
  a->Make();
  const auto again = Pool("a", 2);
  for (const AddressSpan& span : a->morsels()) again->AddName(span.begin);
  registry_.Enter(again->pool());
  const auto holders = registry_.Holders();
  ASSERT_TRUE(holders.has_value());
  ASSERT_EQ(holders->size(), 1u);
  ASSERT_EQ((*holders)[0].spans.size(), 1u);
  EXPECT_EQ((*holders)[0].spans[0].begin, a->morsels()[0].begin);
}

TEST_F(PoolsGoneTest, APoolWhoseDiskIsNotMountedKeepsItsAddresses) {
  const Window window = {0x160000000000, 0x160000000000 + kGiB};
  const auto a = Pool("a", 1, window);
  const auto b = Pool("b", 2, window);
  while (a->Make()) continue;
  fs::remove_all(scratch_.At("a"));
  {
    const auto file = RegistryFile::OpenLocked(calls_, path_);
    FoundSlot found = **FindSlot(*file, a->pool());
    found.slot.file_system_id ^= 1;
    ASSERT_TRUE(file->WriteSlot(found.number, found.slot).ok());
  }
  EXPECT_EQ(b->Take().error(), Code::kAddressExhausted);
  const auto holders = registry_.Holders();
  ASSERT_TRUE(holders.has_value());
  const auto is_unknown = [](const auto& one) { return one.presence == Presence::kUnknown; };
  EXPECT_EQ(std::count_if(holders->begin(), holders->end(), is_unknown), 1);
}

TEST_F(PoolsGoneTest, ACopyInheritsTheAddressesOfThePoolThatIsGone) {
  const auto a = Pool("a", 1);
  a->Make();
  const auto copy = Pool("copy", 1);
  for (const AddressSpan& span : a->morsels()) copy->AddName(span.begin);
  copy->Make();
  ExpectApart({copy.get()});
  const uint64_t base = a->morsels()[0].begin;
  fs::remove_all(scratch_.At("a"));
  ASSERT_TRUE(registry_.Holders().has_value());
  const auto file = RegistryFile::OpenLocked(calls_, path_);
  const auto word = (*file->ReadWords(base / kGranuleBytes, base / kGranuleBytes + 1))[0];
  EXPECT_EQ(word, (*FindSlot(*file, copy->pool()))->number);
}

}  // namespace
}  // namespace morsel
