// Several words of a medium changed as one: a redo journal of one record.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "pmem/persist/journal_layout.h"
#include "pmem/persist/persist.h"

namespace morsel::pmem {

/// A word of the medium and what it becomes.
struct JournalWrite {
  uint64_t* word;
  uint64_t value;
};

/// Over any memory that is aligned to a line; knows nothing of files.
/// Threads  one at a time.
class Journal {
 public:
  /// The part of a medium that records may change; the journal lies outside of it.
  struct Target {
    char* medium;         ///< what entries' offsets count from
    uint64_t begin;       ///< the first byte that may change
    uint64_t end;         ///< behind the last
    std::string subject;  ///< for sentences, e.g. "pool '/data'"
  };

  Journal(JournalHead* head, uint64_t size_bytes, Target target, Persist persist)
      : head_(head), size_bytes_(size_bytes), target_(std::move(target)), persist_(persist) {}

  /// Writes an empty journal.
  /// Durability  flushed; the caller fences.
  void Format();

  /// Makes the medium what the last committed record says. Before anything else when opened for
  /// writing. Idempotent: may be cut off anywhere and done again.
  /// Durability  on return [J-2] holds, also where a killed process left stores that are visible
  ///             and not durable.
  /// Errors      kCorrupt: nothing was changed.
  Status Recover();

  /// Whether Recover() would change a word of the target. Who may only read recovers a private
  /// copy.
  /// Errors  kCorrupt.
  Result<bool> IsPending() const;

  /// Makes all of `writes` true, or none where a crash comes before.
  /// At most entries_max().
  /// Durability  on return. What the values refer to is flushed and fenced by the caller before.
  /// Cost        the lines of the record, of the words, and 1; 3 fences.
  void Commit(std::span<const JournalWrite> writes);

  uint64_t entries_max() const { return JournalEntriesMax(size_bytes_); }

 private:
  JournalEntry* entries() const { return reinterpret_cast<JournalEntry*>(head_ + 1); }
  uint64_t ChecksumOfRecord() const;
  void FlushRecord() const;
  void Apply();
  void Retire();

  JournalHead* head_;
  uint64_t size_bytes_;
  Target target_;
  Persist persist_;
};

}  // namespace morsel::pmem
