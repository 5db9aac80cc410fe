// Changes several words of a medium as one: a redo journal with one record.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "pmem/persist/journal_layout.h"
#include "pmem/persist/persist.h"

namespace morsel::pmem {

/// A word of the medium, and the value that it becomes.
struct JournalWrite {
  uint64_t* word;
  uint64_t value;
};

/// A journal in memory that is aligned to a line. It knows nothing of files.
/// Ownership  the head and the medium outlive it.
/// Threads    one call at a time.
class Journal {
 public:
  /// The part of a medium that records may change. The journal lies outside of it.
  struct Target {
    char* medium;         ///< where the medium begins; entries' offsets count from here
    uint64_t begin;       ///< offset of the first byte that may change
    uint64_t end;         ///< offset behind the last byte that may change
    std::string subject;  ///< what messages call it, e.g. "pool '/data'"
  };

  /// `size_bytes` is the size of the journal, which begins with its head.
  Journal(JournalHead* head, uint64_t size_bytes, Target target, Persist persist)
      : head_(head), size_bytes_(size_bytes), target_(std::move(target)), persist_(persist) {}

  /// Writes an empty journal.
  /// Durability  flushed; the caller fences.
  void Format();

  /// Makes the medium what the last committed record says. It comes before anything else when the
  /// medium is opened for writing. It may be cut off anywhere and done again.
  /// Durability  [J-2] holds on return, also if a killed process left stores that are visible and
  ///             not durable.
  /// Errors      kCorrupt: nothing was changed.
  Status Recover();

  /// Whether a record is pending [J-1], so that Recover() would apply it. A reader, which must not
  /// change the medium, then recovers a private copy.
  /// Errors  kCorrupt.
  Result<bool> IsPending() const;

  /// Makes all of `writes` true, or none of them if a crash comes before.
  ///
  /// Durability  all writes, on return. The caller has flushed and fenced what the values refer to.
  /// Units       at most entries_max() writes; more abort the process.
  /// Cost        flushes the lines of the record, a line for each word, and that of `retired`;
  ///             3 fences.
  void Commit(std::span<const JournalWrite> writes);

  /// How many writes fit into one Commit().
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
