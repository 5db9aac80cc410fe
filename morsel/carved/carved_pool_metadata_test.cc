#include "morsel/carved/carved_pool_metadata.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/error.h"
#include "morsel/carved/carved_pool_superblock.h"
#include "sim/model/crash_testing.h"

namespace morsel {
namespace {

using pmem::CrashMedium;
using pmem::ForEachKill;
using pmem::ForEachPowerCut;
using Access = CarvedMetadata::Access;
using SubtreeList = std::vector<SubtreeIndex>;
// The subtrees of each morsel. Tests compare these after a crash, and not totals.
using Owners = std::map<std::string, SubtreeList>;

constexpr uint64_t kPoolBytes = 2 * kMiB + 64 * kSubtreeBytes;
constexpr Window kWindow = {0x10000000000, 0x20000000000};
constexpr alloc::SubtreeRole kHuge = alloc::SubtreeRole::kHuge;

PoolSuperblock Plan(unsigned char number = 1) {
  return *PlanSuperblock(kPoolBytes, kWindow, Id{number}, "pool 'test'");
}

Result<std::unique_ptr<CarvedMetadata>> Open(CrashMedium& medium, Access access = Access::kWrite) {
  const auto superblock = ChooseSuperblock(medium.memory(), kPoolBytes, "pool 'test'");
  if (!superblock) return superblock.status();
  return CarvedMetadata::Open(medium.memory(), *superblock, medium.persist(), access,
                              "pool 'test'");
}

std::unique_ptr<CarvedMetadata> Opened(CrashMedium& medium, Access access = Access::kWrite) {
  auto metadata = Open(medium, access);
  EXPECT_TRUE(metadata.has_value()) << LastError();
  return metadata.has_value() ? std::move(*metadata) : nullptr;
}

CatalogRecord Wanted(const std::string& name, uint64_t subtrees) {
  static uint64_t number = 0;
  ++number;
  CatalogRecord record;
  record.name = name;
  record.id = Id{static_cast<unsigned char>(number), static_cast<unsigned char>(number >> 8)};
  record.contract = Contract::kFine;
  record.base = kWindow.begin + number * 128 * kSubtreeBytes;
  record.capacity_bytes = 100 * kSubtreeBytes;
  record.size_bytes = subtrees * kSubtreeBytes;
  return record;
}

void Create(CarvedMetadata& metadata, const std::string& name, uint64_t subtrees) {
  const auto granted = metadata.Reserve(kHuge, subtrees * kSubtreeBytes);
  ASSERT_TRUE(granted.has_value()) << LastError();
  metadata.Create(*metadata.catalog().FreeSlot(), Wanted(name, subtrees), *granted);
}

void Grow(CarvedMetadata& metadata, const std::string& name, uint64_t subtrees) {
  const auto granted = metadata.Reserve(kHuge, subtrees * kSubtreeBytes);
  ASSERT_TRUE(granted.has_value()) << LastError();
  metadata.Grow(*metadata.catalog().Find(name), *granted);
}

void Shrink(CarvedMetadata& metadata, const std::string& name, uint64_t subtrees) {
  metadata.Shrink(*metadata.catalog().Find(name), subtrees * kSubtreeBytes);
}

void Remove(CarvedMetadata& metadata, const std::string& name) {
  metadata.Remove(*metadata.catalog().Find(name));
}

void Replace(CarvedMetadata& metadata, const std::string& name, uint64_t subtrees) {
  const auto granted = metadata.Reserve(kHuge, subtrees * kSubtreeBytes);
  ASSERT_TRUE(granted.has_value()) << LastError();
  const auto replaced = metadata.catalog().Find(name);
  metadata.Replace(*replaced, *metadata.catalog().FreeSlot(), Wanted(name, subtrees), *granted);
}

Owners OwnersOf(CarvedMetadata& metadata) {
  Owners owners;
  for (const SlotIndex slot : metadata.catalog().List()) {
    const auto subtrees = metadata.Subtrees(slot);
    EXPECT_TRUE(subtrees.has_value()) << LastError();
    if (subtrees.has_value()) owners[metadata.catalog().record(slot).name] = *subtrees;
  }
  return owners;
}

void ExpectWhole(CarvedMetadata& metadata) {
  for (const std::string& message : metadata.Validate()) ADD_FAILURE() << message;
}

// Opens the medium with the real recovery, returns the owners, and checks that work can go on.
Owners OwnersAfter(CrashMedium& after) {
  auto metadata = Opened(after);
  if (metadata == nullptr) return {};
  ExpectWhole(*metadata);
  const Owners owners = OwnersOf(*metadata);
  for (const auto& [name, subtrees] : owners) {
    Shrink(*metadata, name, 1);
    if (subtrees.size() > 4) Remove(*metadata, name);
  }
  Create(*metadata, "later", metadata->map().free_count());
  ExpectWhole(*metadata);
  metadata->Close();
  ExpectWhole(*Opened(after));
  return owners;
}

class CarvedPoolMetadataTest : public testing::Test {
 protected:
  CarvedPoolMetadataTest() {
    FormatPool(medium_.memory(), Plan(), medium_.persist());
    auto metadata = Opened(medium_);
    Create(*metadata, "a", 2);
    Create(*metadata, "b", 9);
    Create(*metadata, "c", 2);
    Remove(*metadata, "a");  // so that the subtrees of 'd' are not adjacent
    Create(*metadata, "d", 10);
    metadata->Close();
    medium_.Settle();
  }

  // Cuts the power anywhere in `change`. Then kills the process anywhere in it; the next process
  // changes something, and the power is cut anywhere in that.
  void ExpectAllOrNothing(const std::function<void(CarvedMetadata&)>& change) {
    const auto start = medium_.AfterKill();
    Owners old_owners;
    Owners new_owners;
    {
      const auto trial = medium_.AfterKill();
      auto metadata = Opened(*trial);
      old_owners = OwnersOf(*metadata);
      change(*metadata);
      new_owners = OwnersOf(*metadata);
    }
    int old_count = 0;
    int new_count = 0;
    auto metadata = Opened(medium_);
    ForEachPowerCut(
        medium_, [&] { change(*metadata); },
        [&](CrashMedium& after) {
          const Owners owners = OwnersAfter(after);
          EXPECT_TRUE(owners == old_owners || owners == new_owners);
          ++(owners == old_owners ? old_count : new_count);
        });
    EXPECT_GT(old_count, 0);
    EXPECT_GT(new_count, 0);

    auto again = Opened(*start);
    ForEachKill(
        *start, [&] { change(*again); }, [&](CrashMedium& killed) { GoOnAfterKill(killed); });
  }

  static void GoOnAfterKill(CrashMedium& killed) {
    Owners kept;
    ForEachPowerCut(
        killed,
        [&] {
          auto next = Opened(killed);
          kept = OwnersOf(*next);
          ExpectWhole(*next);
          // Another thread holds these, so that the next changes are on other lines.
          const auto held = next->Reserve(kHuge, 4 * kSubtreeBytes);
          ASSERT_TRUE(held.has_value());
          Create(*next, "next", 3);
          Grow(*next, kept.begin()->first, 2);
          next->Close();
        },
        [&](CrashMedium& after) {
          auto metadata = Opened(after);
          ExpectWhole(*metadata);
          if (kept.empty()) return;  // the power was cut before the process had looked
          Owners owners = OwnersOf(*metadata);
          owners.erase("next");
          ASSERT_EQ(owners.size(), kept.size());
          for (const auto& [name, subtrees] : kept) {
            ASSERT_GE(owners[name].size(), subtrees.size()) << name;
            owners[name].resize(subtrees.size());
            EXPECT_EQ(owners[name], subtrees) << name;
          }
        },
        8);
  }

  CrashMedium medium_{Plan().metadata_bytes};
};

TEST_F(CarvedPoolMetadataTest, CreationIsAllOrNothing) {
  ExpectAllOrNothing([](CarvedMetadata& metadata) { Create(metadata, "new", 12); });
}

TEST_F(CarvedPoolMetadataTest, GrowingIsAllOrNothing) {
  ExpectAllOrNothing([](CarvedMetadata& metadata) { Grow(metadata, "b", 12); });
}

TEST_F(CarvedPoolMetadataTest, ShrinkingIsAllOrNothing) {
  ExpectAllOrNothing([](CarvedMetadata& metadata) { Shrink(metadata, "d", 3); });
}

TEST_F(CarvedPoolMetadataTest, RemovalIsAllOrNothing) {
  ExpectAllOrNothing([](CarvedMetadata& metadata) { Remove(metadata, "b"); });
}

TEST_F(CarvedPoolMetadataTest, ReplacingIsAllOrNothing) {
  ExpectAllOrNothing([](CarvedMetadata& metadata) { Replace(metadata, "b", 12); });
}

// If a slot were used before its stale words are cleaned, its next owner would have too many
// subtrees.
TEST_F(CarvedPoolMetadataTest, ASlotIsUsedAgainOnlyAfterItsWordsAreCleaned) {
  auto metadata = Opened(medium_);
  ForEachPowerCut(
      medium_,
      [&] {
        Remove(*metadata, "b");
        const auto held = metadata->Reserve(kHuge, 8 * kSubtreeBytes);
        Create(*metadata, "new", 9);
        metadata->Cancel(kHuge, *held);
      },
      [](CrashMedium& after) {
        for (const auto& [name, subtrees] : OwnersAfter(after)) {
          EXPECT_TRUE(name == "c" || name == "d" || (name == "b" && subtrees.size() == 9) ||
                      (name == "new" && subtrees.size() == 9));
        }
      });
}

TEST_F(CarvedPoolMetadataTest, CreateFencesTheFlushedBytesBeforeItPublishesTheMorsel) {
  constexpr uint64_t kValue = 4711;
  CrashMedium medium(Plan().metadata_bytes + kPageBytes);
  FormatPool(medium.memory(), Plan(), medium.persist());
  auto metadata = Opened(medium);
  const auto first_word = [](CrashMedium& on) {
    return reinterpret_cast<uint64_t*>(on.memory() + Plan().metadata_bytes);
  };
  ForEachPowerCut(
      medium,
      [&] {
        *first_word(medium) = kValue;
        medium.persist().Flush(first_word(medium), sizeof(uint64_t));
        Create(*metadata, "new", 1);
      },
      [&](CrashMedium& after) {
        const bool is_there = Opened(after)->catalog().Find("new").has_value();
        EXPECT_TRUE(!is_there || *first_word(after) == kValue);
      });
}

// A process is killed while it cleans the words of subtrees that it has cut off, and the next
// process grows into other subtrees.
TEST_F(CarvedPoolMetadataTest, AKillIsRemembered) {
  auto metadata = Opened(medium_);
  ForEachKill(
      medium_, [&] { Shrink(*metadata, "d", 3); },
      [&](CrashMedium& killed) {
        auto next = Opened(killed);
        const uint64_t had = OwnersOf(*next)["d"].size();
        const auto held = next->Reserve(kHuge, 16 * kSubtreeBytes);
        ASSERT_TRUE(held.has_value()) << LastError();
        Grow(*next, "d", 7);
        const auto after = killed.AfterPowerCut();
        auto last = Opened(*after);
        ExpectWhole(*last);
        EXPECT_EQ(OwnersOf(*last)["d"].size(), had + 7);
      });
}

TEST_F(CarvedPoolMetadataTest, APoolOpenedAfterAKilledFormatStays) {
  int opened = 0;
  CrashMedium fresh(Plan().metadata_bytes);
  ForEachKill(
      fresh, [&] { FormatPool(fresh.memory(), Plan(), fresh.persist()); },
      [&](CrashMedium& killed) {
        auto next = Open(killed);
        if (!next.has_value()) return;
        EXPECT_NE(Opened(*killed.AfterPowerCut()), nullptr) << "before anything is made in it";
        Create(**next, "promised", 3);
        const auto after = killed.AfterPowerCut();
        auto last = Opened(*after);
        ASSERT_NE(last, nullptr);
        EXPECT_EQ(OwnersOf(*last)["promised"].size(), 3u);
        ++opened;
      });
  EXPECT_GT(opened, 1) << "one of them before formatting has returned";
}

TEST_F(CarvedPoolMetadataTest, ACleanEndIsRememberedAndAnUnreadMapIsNot) {
  const uint64_t at = Plan().use_offset;
  const auto in_use = [&](CrashMedium& medium) {
    const auto after = medium.AfterPowerCut();
    return *reinterpret_cast<uint64_t*>(after->memory() + at);
  };
  EXPECT_EQ(in_use(medium_), 0u);
  { auto killed = Opened(medium_); }
  EXPECT_EQ(in_use(medium_), 1u);
  Opened(medium_)->Close();
  EXPECT_EQ(in_use(medium_), 1u) << "nobody has flushed the map yet";
  auto metadata = Opened(medium_);
  metadata->map();
  metadata->Close();
  EXPECT_EQ(in_use(medium_), 0u);
}

TEST_F(CarvedPoolMetadataTest, AReaderChangesNothingAndSeesWhatIsPending) {
  auto metadata = Opened(medium_);
  int grown = 0;
  ForEachPowerCut(
      medium_, [&] { Grow(*metadata, "b", 3); },
      [&](CrashMedium& after) {
        const std::string before(after.memory(), after.size_bytes());
        {
          CrashMedium copy(after.size_bytes());
          std::memcpy(copy.memory(), after.memory(), after.size_bytes());
          auto reader = Opened(copy, Access::kRead);
          ExpectWhole(*reader);
          const uint64_t size = OwnersOf(*reader)["b"].size();
          EXPECT_TRUE(size == 9 || size == 12);
          grown += size == 12;
          reader->Close();
        }
        EXPECT_EQ(after.flushes + after.fences, 0u);
        EXPECT_EQ(std::string(after.memory(), after.size_bytes()), before);
      });
  EXPECT_GT(grown, 6) << "pending, and not only at the end";
}

// Returns what a process leaves that was killed between the journal's record and its values, with a
// word that nobody owns. A new pool must have none of it.
std::unique_ptr<CrashMedium> WithWorkLeft(CrashMedium& medium) {
  std::unique_ptr<CrashMedium> left;
  auto metadata = Opened(medium);
  ForEachKill(
      medium, [&] { Grow(*metadata, "b", 3); },
      [&](CrashMedium& killed) {
        if (left != nullptr) return;
        auto cut = killed.AfterPowerCut();
        const auto pending =
            pmem::Journal(
                reinterpret_cast<pmem::JournalHead*>(cut->memory() + Plan().journal_offset),
                Plan().journal_bytes,
                {.medium = cut->memory(), .begin = 0, .end = cut->size_bytes(), .subject = ""},
                cut->persist())
                .IsPending();
        if (pending.has_value() && *pending) left = std::move(cut);
      });
  return left;
}

TEST_F(CarvedPoolMetadataTest, FormattingIsAllOrNothing) {
  const auto medium = WithWorkLeft(medium_);
  ASSERT_NE(medium, nullptr);
  const Owners old_owners = [&] {
    const auto trial = medium->AfterKill();
    return OwnersOf(*Opened(*trial));
  }();
  ASSERT_EQ(old_owners.at("b").size(), 12u) << "the record is pending";
  int counts[3] = {};
  const auto look = [&](CrashMedium& after) {
    const uint64_t in_use = *reinterpret_cast<uint64_t*>(after.memory() + Plan().use_offset);
    auto opened = Open(after);
    if (!opened.has_value()) {
      EXPECT_EQ(opened.error(), Code::kCorrupt);
      ++counts[0];
      return;
    }
    const bool is_new = (*opened)->superblock().id[0] == 2;
    EXPECT_EQ(OwnersOf(**opened), is_new ? Owners() : old_owners);
    EXPECT_EQ(in_use, is_new ? 0u : 1u);
    EXPECT_TRUE((*opened)->map().findings().empty());
    EXPECT_TRUE((*opened)->catalog().findings().empty());
    ++counts[is_new ? 2 : 1];
  };
  ForEachPowerCut(
      *medium, [&] { FormatPool(medium->memory(), Plan(2), medium->persist()); }, look, 256);
  for (const int count : counts) EXPECT_GT(count, 0);

  // After the return the new pool is there, with both superblocks.
  const auto after = medium->AfterPowerCut();
  auto opened = Opened(*after);
  EXPECT_EQ(opened->superblock().id[0], 2);
  ExpectWhole(*opened);
}

TEST_F(CarvedPoolMetadataTest, ANewPoolHasNothingOfWhatTheMediumHeldBefore) {
  CrashMedium medium(Plan().metadata_bytes);
  std::memset(medium.memory(), 0xa5, medium.size_bytes());
  medium.Settle();
  int opened_count = 0;
  const auto look = [&](CrashMedium& after) {
    auto opened = Open(after);
    if (!opened.has_value()) return;
    EXPECT_EQ(OwnersOf(**opened), Owners());
    EXPECT_TRUE((*opened)->map().findings().empty());
    EXPECT_TRUE((*opened)->catalog().findings().empty());
    ++opened_count;
  };
  ForEachPowerCut(
      medium, [&] { FormatPool(medium.memory(), Plan(), medium.persist()); }, look, 64);
  EXPECT_GT(opened_count, 0);
  const auto after = medium.AfterPowerCut();
  ExpectWhole(*Opened(*after));
}

TEST_F(CarvedPoolMetadataTest, EitherSuperblockIsEnough) {
  for (const uint64_t damaged : {uint64_t{0}, kSuperblockBytes}) {
    const auto medium = medium_.AfterKill();
    std::memset(medium->memory() + damaged, 0, kSuperblockBytes);
    auto metadata = Opened(*medium);
    EXPECT_EQ(OwnersOf(*metadata).size(), 3u);
    const auto findings = metadata->Validate();
    ASSERT_EQ(findings.size(), 1u);
    EXPECT_NE(findings[0].find("POOL-1"), std::string::npos);
  }
}

// With a good checksum, as if made to deceive. The process' tables end where addresses do.
TEST_F(CarvedPoolMetadataTest, AWindowThatNoProcessCanHaveIsCorrupt) {
  for (const Window& window : {Window{0, kGiantBytes},
                               {kGiantBytes, kAddressEnd + kGiantBytes},
                               {kAddressEnd, 2 * kAddressEnd},
                               {2 * kGiantBytes, kGiantBytes}}) {
    const PoolSuperblock plan = *PlanSuperblock(kPoolBytes, window, Id{1}, "pool 'test'");
    std::vector<char> bytes(kSuperblocks * kSuperblockBytes);
    WriteSuperblocks(bytes.data(), plan, pmem::VolatilePersist());
    EXPECT_EQ(ChooseSuperblock(bytes.data(), kPoolBytes, "pool 'test'").error(), Code::kCorrupt)
        << window.begin << "-" << window.end;
  }
}

TEST_F(CarvedPoolMetadataTest, ABitThatIsFlippedInBothSuperblocksMakesThePoolCorrupt) {
  for (uint64_t bit = 0; bit < kSuperblockBytes * 8; ++bit) {
    std::string bytes(medium_.memory(), kSuperblocks * kSuperblockBytes);
    for (const uint64_t at : {bit / 8, kSuperblockBytes + bit / 8}) {
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit % 8);
    }
    ASSERT_EQ(ChooseSuperblock(bytes.data(), kPoolBytes, "pool 'test'").error(), Code::kCorrupt);
  }
}

}  // namespace
}  // namespace morsel
