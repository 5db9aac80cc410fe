#include "pmem/persist/journal.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "sim/model/crash_testing.h"

namespace morsel::pmem {
namespace {

constexpr uint64_t kSmallJournalBytes = 8 * kKiB;
constexpr uint64_t kTargetBegin = 8 * kKiB;
constexpr uint64_t kMediumBytes = 16 * kKiB;

Journal JournalOn(CrashMedium& medium) {
  return Journal(reinterpret_cast<JournalHead*>(medium.memory()), kSmallJournalBytes,
                 {.medium = medium.memory(),
                  .begin = kTargetBegin,
                  .end = kMediumBytes,
                  .subject = "pool 'test'"},
                 medium.persist());
}

// The i-th of the words that tests change. They are 48 bytes apart, so that of each four words two
// share a line.
uint64_t* Word(CrashMedium& medium, uint64_t i) {
  return reinterpret_cast<uint64_t*>(medium.memory() + kTargetBegin) + i * 6;
}

std::vector<JournalWrite> Writes(CrashMedium& medium, uint64_t count, uint64_t value) {
  std::vector<JournalWrite> writes;
  for (uint64_t i = 0; i < count; ++i) writes.push_back({Word(medium, i), value + i});
  return writes;
}

// Expects word i to be value + i for all `count` words, and returns the value; 0 if all are 0.
uint64_t ValueOf(CrashMedium& medium, uint64_t count) {
  const uint64_t value = *Word(medium, 0);
  for (uint64_t i = 0; i < count; ++i) {
    EXPECT_EQ(*Word(medium, i), value == 0 ? 0 : value + i)
        << "word " << i << " is of another record";
  }
  return value;
}

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    JournalOn(medium_).Format();
    medium_.Settle();
  }
  CrashMedium medium_{kMediumBytes};
};

TEST_F(JournalTest, FreshJournalHasNothingPending) {
  Journal journal = JournalOn(medium_);
  const auto pending = journal.IsPending();
  ASSERT_TRUE(pending.has_value());
  EXPECT_FALSE(*pending);
  EXPECT_TRUE(journal.Recover().ok());
}

TEST_F(JournalTest, AllOrNothing) {
  constexpr uint64_t kCount = 9;
  uint64_t value = 0;
  for (const uint64_t next : {100, 200, 300}) {
    bool saw_old = false;
    bool saw_new = false;
    ForEachPowerCut(
        medium_, [&] { JournalOn(medium_).Commit(Writes(medium_, kCount, next)); },
        [&](CrashMedium& after) {
          ASSERT_TRUE(JournalOn(after).Recover().ok()) << LastError();
          const uint64_t found = ValueOf(after, kCount);
          EXPECT_TRUE(found == value || found == next) << found;
          (found == value ? saw_old : saw_new) = true;
          EXPECT_FALSE(*JournalOn(after).IsPending());
        },
        64);
    EXPECT_TRUE(saw_old && saw_new);
    value = next;
    EXPECT_EQ(ValueOf(*medium_.AfterPowerCut(), kCount), value);
  }
}

TEST_F(JournalTest, APowerCutDuringRecoveryChangesNothing) {
  ForEachPowerCut(
      medium_, [&] { JournalOn(medium_).Commit(Writes(medium_, 5, 100)); },
      [&](CrashMedium& after) {
        uint64_t first = 0;  // what the words are after a recovery that was not cut off
        std::vector<uint64_t> found;
        ForEachPowerCut(
            after,
            [&] {
              ASSERT_TRUE(JournalOn(after).Recover().ok());
              first = ValueOf(after, 5);
            },
            [&](CrashMedium& again) {
              ASSERT_TRUE(JournalOn(again).Recover().ok());
              found.push_back(ValueOf(again, 5));
            });
        for (const uint64_t value : found) EXPECT_EQ(value, first);
      });
}

// After a kill another process recovers and commits, and then the power is cut. Whatever that
// loses, the words must be those of one record.
void KillThenCommitThenCutPower(CrashMedium& medium, uint64_t old_value, uint64_t killed_value,
                                uint64_t next) {
  ForEachKill(
      medium, [&] { JournalOn(medium).Commit(Writes(medium, 5, killed_value)); },
      [&](CrashMedium& killed) {
        ForEachPowerCut(
            killed,
            [&] {
              ASSERT_TRUE(JournalOn(killed).Recover().ok()) << LastError();
              const uint64_t found = ValueOf(killed, 5);
              EXPECT_TRUE(found == old_value || found == killed_value);
              JournalOn(killed).Commit(Writes(killed, 5, next));
            },
            [&](CrashMedium& after) {
              ASSERT_TRUE(JournalOn(after).Recover().ok()) << LastError();
              const uint64_t found = ValueOf(after, 5);
              EXPECT_TRUE(found == old_value || found == killed_value || found == next) << found;
            },
            32);
        EXPECT_EQ(ValueOf(*killed.AfterPowerCut(), 5), next);
      });
}

TEST_F(JournalTest, RecoverPersistsAKilledRetirement) {
  KillThenCommitThenCutPower(medium_, 0, 100, 200);
  KillThenCommitThenCutPower(medium_, 100, 200, 300);
}

TEST_F(JournalTest, RecoverPersistsAKilledRecordFirst) {
  ForEachKill(
      medium_, [&] { JournalOn(medium_).Commit(Writes(medium_, 5, 100)); },
      [&](CrashMedium& killed) {
        ForEachPowerCut(
            killed, [&] { ASSERT_TRUE(JournalOn(killed).Recover().ok()); },
            [&](CrashMedium& after) {
              ASSERT_TRUE(JournalOn(after).Recover().ok()) << LastError();
              ValueOf(after, 5);
            },
            32);
      });
}

TEST_F(JournalTest, CommitCostsTheRecordsLinesAndThreeFences) {
  medium_.flushes = medium_.fences = 0;
  JournalOn(medium_).Commit(Writes(medium_, 5, 100));
  EXPECT_EQ(medium_.fences, 3u);
  EXPECT_EQ(medium_.flushes, 1 + 5 + 1u);
}

TEST_F(JournalTest, CommitTakesEntriesMaxWritesAndNotMore) {
  Journal journal = JournalOn(medium_);
  std::vector<JournalWrite> writes;
  for (uint64_t i = 0; i < journal.entries_max(); ++i) {
    writes.push_back({reinterpret_cast<uint64_t*>(medium_.memory() + kTargetBegin) + i, i + 1});
  }
  journal.Commit(writes);
  const auto after = medium_.AfterPowerCut();
  EXPECT_EQ(std::memcmp(after->memory() + kTargetBegin, medium_.memory() + kTargetBegin,
                        writes.size() * sizeof(uint64_t)),
            0);
  EXPECT_DEATH(journal.Commit(std::vector<JournalWrite>(journal.entries_max() + 1, writes[0])), "");
}

TEST_F(JournalTest, EveryFlippedBitIsFoundOrHarmless) {
  // The record is committed and not applied: of the kills, take the first after its fence.
  std::unique_ptr<CrashMedium> pending;
  ForEachKill(
      medium_, [&] { JournalOn(medium_).Commit(Writes(medium_, 3, 100)); },
      [&](CrashMedium& killed) {
        if (pending == nullptr && killed.AfterPowerCut() != nullptr) {
          auto cut = killed.AfterPowerCut();
          const auto is_pending = JournalOn(*cut).IsPending();
          if (is_pending.has_value() && *is_pending) pending = std::move(cut);
        }
      });
  ASSERT_NE(pending, nullptr);
  const uint64_t record_bytes = sizeof(JournalHead) + 3 * sizeof(JournalEntry);
  for (uint64_t bit = 0; bit < record_bytes * 8; ++bit) {
    const auto flipped = pending->AfterKill();
    flipped->memory()[bit / 8] ^= static_cast<char>(1 << bit % 8);
    const Status recovered = JournalOn(*flipped).Recover();
    EXPECT_TRUE(recovered.ok() || recovered.code() == Code::kCorrupt);
    const uint64_t found = ValueOf(*flipped, 3);
    EXPECT_TRUE(found == 0 || (recovered.ok() && found == 100)) << "bit " << bit;
  }
}

// The record has a good checksum, and an entry that no Commit() writes.
TEST_F(JournalTest, EntriesOutsideOfTheTargetAreCorrupt) {
  for (const uint64_t offset : {uint64_t{0}, kTargetBegin - 8, kTargetBegin + 4, kMediumBytes,
                                kMediumBytes - 4, ~uint64_t{0} - 7}) {
    CrashMedium medium(kMediumBytes);
    Journal journal = JournalOn(medium);
    journal.Format();
    // Commit() would not write such an entry, so the record and its checksum are made by hand.
    std::vector<JournalEntry> entries = {{offset, 1}};
    auto* const head = reinterpret_cast<JournalHead*>(medium.memory());
    std::memcpy(head + 1, entries.data(), sizeof entries[0]);
    head->sequence = 1;
    head->entry_count = 1;
    const uint64_t parts[3] = {1, 1, Checksum64(head + 1, sizeof entries[0])};
    head->checksum = Checksum64(parts, sizeof parts);
    medium.Settle();
    EXPECT_EQ(journal.Recover().code(), Code::kCorrupt) << offset;
    EXPECT_NE(std::string(LastError()).find("pool 'test'"), std::string::npos);
  }
}

}  // namespace
}  // namespace morsel::pmem
