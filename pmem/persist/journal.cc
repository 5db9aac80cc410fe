#include "pmem/persist/journal.h"

#include <cinttypes>

#include "base/bits.h"
#include "base/check.h"
#include "base/checksum.h"
#include "base/error.h"

namespace morsel::pmem {
namespace {

void StoreZeros(uint64_t* words, size_t count) {
  for (size_t i = 0; i < count; ++i) Store(words + i, 0);
}

}  // namespace

// The checksum of the record as it is stored. Its parts are hashed in order: sequence and
// entry_count lie before the checksum, the entries behind it.
uint64_t Journal::ChecksumOfRecord() const {
  const uint64_t count = Load(&head_->entry_count);
  const uint64_t parts[3] = {Load(&head_->sequence), count,
                             Checksum64(entries(), count * sizeof(JournalEntry))};
  return Checksum64(parts, sizeof parts);
}

void Journal::FlushRecord() const {
  const uint64_t entries_bytes = head_->entry_count * sizeof(JournalEntry);
  persist_.Flush(&head_->sequence, kLineBytes + entries_bytes);
}

void Journal::Format() {
  StoreZeros(reinterpret_cast<uint64_t*>(head_), sizeof *head_ / sizeof(uint64_t));
  Store(&head_->checksum, ChecksumOfRecord());
  persist_.Flush(head_, sizeof *head_);
}

// What is done depends on the record's checksum, and on its sequence compared with `retired`:
//
//   bad                      torn: its Commit() never returned        nothing to do
//   good   retired           its values are durable                   nothing to do
//   good   retired + 1       committed, and applied in part at most   apply it again
//   good   anything else     no history leads here                    kCorrupt
//
// A pending record with an entry outside of the target is kCorrupt, too: its checksum is good, so
// this is no torn record.
Result<bool> Journal::IsPending() const {
  const uint64_t count = Load(&head_->entry_count);
  if (count > entries_max() || Load(&head_->checksum) != ChecksumOfRecord()) return false;
  const uint64_t sequence = Load(&head_->sequence);
  const uint64_t retired = Load(&head_->retired);
  if (sequence == retired) return false;
  if (sequence != retired + 1) {
    return Fail(Code::kCorrupt,
                "%s: the journal holds record %" PRIu64 " after record %" PRIu64
                " was retired; restore the pool from a copy",
                target_.subject.c_str(), sequence, retired);
  }
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t offset = entries()[i].offset;
    if (offset < target_.begin || !IsAligned(offset, sizeof(uint64_t)) ||
        !Within(offset, sizeof(uint64_t), target_.end)) {
      return Fail(
          Code::kCorrupt,
          "%s: entry %" PRIu64 " of the journal names offset %" PRIu64
          ", which is no word of the catalog or the subtree map; restore the pool from a copy",
          target_.subject.c_str(), i, offset);
    }
  }
  return true;
}

void Journal::Apply() {
  for (uint64_t i = 0; i < head_->entry_count; ++i) {
    uint64_t* const word = reinterpret_cast<uint64_t*>(target_.medium + entries()[i].offset);
    Store(word, entries()[i].value);
    persist_.Flush(word, sizeof *word);
  }
}

void Journal::Retire() { persist_.Publish(&head_->retired, Load(&head_->sequence)); }

Status Journal::Recover() {
  const Result<bool> pending = IsPending();
  if (!pending.has_value()) return pending.status();
  if (!*pending) {
    // ORDER  the retirement that was read  <  any later record
    // WHY    after a kill `retired` may be visible and not durable. If a power cut then lost it and
    //        kept the next record, that record would be two above `retired`: kCorrupt.     [J-1]
    // CRASH  before: the old record is applied once more, which changes nothing. After: it is
    //        retired for good.
    // TEST   pmem/persist/journal_test: RecoverPersistsAKilledRetirement  <- fails without the line
    persist_.Range(&head_->retired, sizeof head_->retired);
    return Code::kOk;
  }
  // ORDER  the whole record  <  the first of its values
  // WHY    a killed process may have left a record that is visible and not durable. Its values must
  //        not become durable before the record, which alone can complete them.           [J-2]
  // CRASH  before: none of the values is durable. After: the record is applied again.
  // TEST   pmem/persist/journal_test: RecoverPersistsAKilledRecordFirst  <- fails when swapped
  FlushRecord();
  persist_.Fence();
  Apply();
  persist_.Fence();
  Retire();
  return Code::kOk;
}

void Journal::Commit(std::span<const JournalWrite> writes) {
  MORSEL_CHECK(writes.size() <= entries_max());
  for (size_t i = 0; i < writes.size(); ++i) {
    const uint64_t offset =
        static_cast<uint64_t>(reinterpret_cast<char*>(writes[i].word) - target_.medium);
    MORSEL_CHECK(offset >= target_.begin && Within(offset, sizeof(uint64_t), target_.end));
    Store(&entries()[i].offset, offset);
    Store(&entries()[i].value, writes[i].value);
  }
  Store(&head_->sequence, Load(&head_->retired) + 1);
  Store(&head_->entry_count, writes.size());
  Store(&head_->checksum, ChecksumOfRecord());
  // ORDER  the whole record  <  the first of its values  <  `retired`
  // WHY    if only some of the values are durable, the record alone can complete them, and it is
  //        read only until it is retired.                                          [J-1] [J-2]
  // CRASH  before the record: none of the values. Before `retired`: all of them, by Recover().
  // TEST   pmem/persist/journal_test: AllOrNothing  <- fails when any two are swapped
  FlushRecord();
  persist_.Fence();
  Apply();
  persist_.Fence();
  Retire();
}

}  // namespace morsel::pmem
