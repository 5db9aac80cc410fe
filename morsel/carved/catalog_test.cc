#include "morsel/carved/catalog.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/error.h"
#include "sim/model/crash_testing.h"

namespace morsel {
namespace {

using pmem::CrashMedium;
using pmem::ForEachPowerCut;

constexpr uint64_t kSlots = 16;
constexpr Window kWindow = {0x10000000000, 0x20000000000};

CatalogRecord Named(const std::string& name, unsigned char number = 1) {
  CatalogRecord record;
  record.name = name;
  record.id = Id{number};
  record.contract = Contract::kFine;
  record.mode = 0640;
  record.user = 7;
  record.group = 8;
  record.base = kWindow.begin + number * kGiantBytes;
  record.capacity_bytes = 16 * kSubtreeBytes;
  record.size_bytes = 2 * kSubtreeBytes;
  return record;
}

void ExpectSame(const CatalogRecord& a, const CatalogRecord& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.contract, b.contract);
  EXPECT_EQ(a.grows, b.grows);
  EXPECT_EQ(a.giant, b.giant);
  EXPECT_EQ(a.mode, b.mode);
  EXPECT_EQ(a.user, b.user);
  EXPECT_EQ(a.group, b.group);
  EXPECT_EQ(a.base, b.base);
  EXPECT_EQ(a.capacity_bytes, b.capacity_bytes);
  EXPECT_EQ(a.size_bytes, b.size_bytes);
  EXPECT_EQ(a.live_bytes, b.live_bytes);
  EXPECT_EQ(a.generation, b.generation);
}

// A journal and a catalog on the same medium.
struct Bench {
  explicit Bench(CrashMedium& medium)
      : journal(reinterpret_cast<pmem::JournalHead*>(medium.memory()), kPageBytes,
                {.medium = medium.memory(),
                 .begin = kPageBytes,
                 .end = kPageBytes + kSlots * sizeof(CatalogSlot),
                 .subject = "pool 'test'"},
                medium.persist()),
        slots(reinterpret_cast<CatalogSlot*>(medium.memory() + kPageBytes)),
        catalog(slots, kSlots, kWindow, &journal, medium.persist(), "pool 'test'") {}

  pmem::Journal journal;
  CatalogSlot* slots;
  Catalog catalog;
};

class CatalogTest : public testing::Test {
 protected:
  CatalogTest() {
    Bench bench(medium_);
    bench.journal.Format();
    bench.catalog.Format();
    medium_.Settle();
  }
  // Opens the catalog as it is after a crash.
  static std::unique_ptr<Bench> Recovered(CrashMedium& medium) {
    auto bench = std::make_unique<Bench>(medium);
    EXPECT_TRUE(bench->journal.Recover().ok()) << LastError();
    bench->catalog.Load();
    return bench;
  }
  static void Insert(Catalog& catalog, const CatalogRecord& record) {
    catalog.Insert(*catalog.FreeSlot(), record);
  }

  CrashMedium medium_{kPageBytes + kSlots * sizeof(CatalogSlot)};
};

TEST_F(CatalogTest, ReturnsTheRecordsThatWereInserted) {
  CatalogRecord giant = Named("giant", 2);
  giant.giant = giant.grows = true;
  giant.capacity_bytes = 4 * kGiantBytes;
  giant.size_bytes = kGiantBytes;
  CatalogRecord longest = Named(std::string(kNameBytesMax, 'x'), 7);
  {
    auto bench = Recovered(medium_);
    Insert(bench->catalog, Named("huge"));
    Insert(bench->catalog, giant);
    Insert(bench->catalog, longest);
    bench->catalog.SetCheckpoint(*bench->catalog.Find("huge"), 99, 5);
    bench->catalog.SetSize(*bench->catalog.Find("giant"), 3 * kGiantBytes);
  }
  CatalogRecord huge = Named("huge");
  huge.live_bytes = 99;
  huge.generation = 5;
  giant.size_bytes = 3 * kGiantBytes;
  auto bench = Recovered(medium_);
  EXPECT_TRUE(bench->catalog.findings().empty());
  const auto list = bench->catalog.List();
  ASSERT_EQ(list.size(), 3u);
  ExpectSame(bench->catalog.record(list[0]), giant);
  ExpectSame(bench->catalog.record(list[1]), huge);
  ExpectSame(bench->catalog.record(list[2]), longest);
  EXPECT_EQ(bench->catalog.Find("hug").error(), Code::kNotFound);
  EXPECT_EQ(bench->catalog.Ranges().count(), 3u);
  const auto owners = bench->catalog.Owners();
  ASSERT_EQ(owners.size(), kSlots);
  EXPECT_EQ(owners[1].size_subtrees, 3 * kSubtreesPerGiant);
}

TEST_F(CatalogTest, CreationIsAllOrNothing) {
  // Another morsel was in the slot before.
  {
    auto bench = Recovered(medium_);
    Insert(bench->catalog, Named("old", 9));
    const SlotIndex slot = *bench->catalog.Find("old");
    bench->catalog.Remove(slot);
    bench->catalog.Free(slot);
  }
  auto bench = Recovered(medium_);
  int found = 0;
  int absent = 0;
  ForEachPowerCut(
      medium_, [&] { Insert(bench->catalog, Named("new")); },
      [&](CrashMedium& after) {
        auto recovered = Recovered(after);
        EXPECT_TRUE(recovered->catalog.findings().empty()) << recovered->catalog.findings()[0];
        const auto slot = recovered->catalog.Find("new");
        EXPECT_FALSE(recovered->catalog.Find("old").has_value());
        if (slot.has_value()) ExpectSame(recovered->catalog.record(*slot), Named("new"));
        ++(slot.has_value() ? found : absent);
      },
      16);
  EXPECT_GT(found, 0);
  EXPECT_GT(absent, 0);
}

TEST_F(CatalogTest, ARenameIsAllOrNothing) {
  const std::string to(kNameBytesMax, 'n');
  {
    auto bench = Recovered(medium_);
    Insert(bench->catalog, Named("old"));
  }
  auto bench = Recovered(medium_);
  int renamed = 0;
  int as_it_was = 0;
  ForEachPowerCut(
      medium_, [&] { bench->catalog.Rename(*bench->catalog.Find("old"), to); },
      [&](CrashMedium& after) {
        auto recovered = Recovered(after);
        EXPECT_TRUE(recovered->catalog.findings().empty()) << recovered->catalog.findings()[0];
        const bool is_renamed = recovered->catalog.Find(to).has_value();
        EXPECT_NE(is_renamed, recovered->catalog.Find("old").has_value());
        ExpectSame(recovered->catalog.record(recovered->catalog.List().at(0)),
                   Named(is_renamed ? to : "old"));
        ++(is_renamed ? renamed : as_it_was);
      },
      16);
  EXPECT_GT(renamed, 0);
  EXPECT_GT(as_it_was, 0);
  EXPECT_TRUE(bench->catalog.Find(to).has_value());
  EXPECT_FALSE(bench->catalog.Find("old").has_value());
}

TEST_F(CatalogTest, EveryChangeIsAllOrNothing) {
  auto bench = Recovered(medium_);
  Insert(bench->catalog, Named("a"));
  const SlotIndex slot = *bench->catalog.Find("a");
  ForEachPowerCut(
      medium_,
      [&] {
        bench->catalog.SetCheckpoint(slot, 1000, 1);
        bench->catalog.SetSize(slot, 5 * kSubtreeBytes);
        bench->catalog.SetCheckpoint(slot, 2000, 2);
        bench->catalog.Remove(slot);
      },
      [&](CrashMedium& after) {
        auto recovered = Recovered(after);
        EXPECT_TRUE(recovered->catalog.findings().empty()) << recovered->catalog.findings()[0];
        const auto there = recovered->catalog.Find("a");
        if (!there.has_value()) return;
        const CatalogRecord record = recovered->catalog.record(*there);
        EXPECT_EQ(record.live_bytes, record.generation * 1000);
        const bool is_grown = record.size_bytes == 5 * kSubtreeBytes;
        EXPECT_TRUE(is_grown || record.size_bytes == 2 * kSubtreeBytes);
        EXPECT_TRUE(record.generation == 1 || is_grown == (record.generation == 2));
      });
}

TEST_F(CatalogTest, AFullCatalogHasNoFreeSlotUntilOneIsFreed) {
  auto bench = Recovered(medium_);
  for (unsigned char i = 0; i < kSlots; ++i) {
    Insert(bench->catalog, Named("m" + std::to_string(i), i));
  }
  EXPECT_EQ(bench->catalog.FreeSlot().error(), Code::kNoSpace);
  EXPECT_NE(std::string(LastError()).find("16 slots"), std::string::npos) << LastError();
  const SlotIndex slot = *bench->catalog.Find("m5");
  bench->catalog.Remove(slot);
  EXPECT_FALSE(bench->catalog.Find("m5").has_value());
  EXPECT_FALSE(bench->catalog.FreeSlot().has_value()) << "not before its words are cleaned";
  bench->catalog.Free(slot);
  EXPECT_EQ(*bench->catalog.FreeSlot(), slot);
  Insert(bench->catalog, Named("m5", 5));
  EXPECT_TRUE(bench->catalog.Find("m5").has_value());
}

TEST_F(CatalogTest, AFlippedBitDamagesItsSlotAndNoOther) {
  {
    auto bench = Recovered(medium_);
    Insert(bench->catalog, Named("a", 1));
    Insert(bench->catalog, Named("b", 2));
  }
  const uint64_t told = offsetof(SlotIdentity, reserved);
  for (uint64_t byte = 0; byte < sizeof(CatalogSlot); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      const auto flipped = medium_.AfterKill();
      flipped->memory()[kPageBytes + byte] ^= static_cast<char>(1 << bit);
      auto bench = Recovered(*flipped);
      EXPECT_TRUE(bench->catalog.Find("b").has_value());
      const uint64_t in_status = byte - offsetof(CatalogSlot, status);
      const bool is_told = byte < told || in_status < offsetof(SlotStatus, reserved);
      EXPECT_EQ(bench->catalog.Find("a").has_value(), !is_told) << "byte " << byte;
      EXPECT_EQ(bench->catalog.findings().size(), is_told ? 1u : 0u) << "byte " << byte;
      EXPECT_EQ(bench->catalog.Owners()[0].is_damaged, is_told);
      EXPECT_EQ(*bench->catalog.FreeSlot(), SlotIndex(2)) << "a damaged slot is not used again";
    }
  }
}

// The records have good checksums and say what cannot be, as if made to deceive.
TEST_F(CatalogTest, AnImpossibleRecordIsDamaged) {
  std::vector<CatalogRecord> wrong(8, Named("a"));
  wrong[0].base += kPageBytes;
  wrong[1].base = kWindow.end - kSubtreeBytes;
  wrong[2].base = kWindow.begin - kSubtreeBytes;
  wrong[3].capacity_bytes = ~uint64_t{0} - kSubtreeBytes + 1;
  wrong[4].size_bytes = 17 * kSubtreeBytes;
  wrong[5].giant = true;
  wrong[6].name = "";
  wrong[7].generation = ~uint64_t{0};
  for (size_t i = 0; i < wrong.size(); ++i) {
    const auto medium = medium_.AfterKill();
    {
      auto bench = Recovered(*medium);
      Insert(bench->catalog, wrong[i]);
    }
    auto bench = Recovered(*medium);
    EXPECT_EQ(bench->catalog.findings().size(), 1u) << i;
    EXPECT_TRUE(bench->catalog.List().empty());
  }
}

TEST_F(CatalogTest, ASecondSlotWithTheSameNameIsDamaged) {
  {
    auto bench = Recovered(medium_);
    Insert(bench->catalog, Named("a"));
    std::memcpy(bench->slots + 3, bench->slots, sizeof(CatalogSlot));
  }
  auto bench = Recovered(medium_);
  ASSERT_EQ(bench->catalog.findings().size(), 1u);
  EXPECT_NE(bench->catalog.findings()[0].find("POOL-6"), std::string::npos);
  EXPECT_TRUE(bench->catalog.Find("a").has_value());
}

}  // namespace
}  // namespace morsel
