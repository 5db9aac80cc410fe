// The format of the journal on the medium: a head and one redo record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/units.h"

namespace morsel::pmem {

/// [J-1] A record is pending iff its checksum is good and its sequence is one above `retired`.
/// [J-2] When no record is pending, every value that a record ever named is durable.
struct JournalHead {
  uint64_t retired;  ///< sequence of the last record whose values are durable
  uint64_t reserved0[7];
  uint64_t sequence;  ///< the record's number; the record begins here
  uint64_t entry_count;
  uint64_t checksum;  ///< XXH3 over sequence, entry_count and the entries
  uint64_t reserved1[5];
};
static_assert(sizeof(JournalHead) == 2 * kLineBytes);
static_assert(offsetof(JournalHead, sequence) == kLineBytes);
static_assert(offsetof(JournalHead, checksum) == kLineBytes + 16);
static_assert(std::has_unique_object_representations_v<JournalHead>);

/// One word that the record changes.
struct JournalEntry {
  uint64_t offset;  ///< of the word, from the beginning of the medium
  uint64_t value;   ///< what the word becomes
};
static_assert(sizeof(JournalEntry) == 16);
static_assert(std::has_unique_object_representations_v<JournalEntry>);

/// The size of a pool's journal, head and entries together.
inline constexpr uint64_t kJournalBytes = 64 * kKiB;

/// How many entries fit into a journal of `size_bytes`.
constexpr uint64_t JournalEntriesMax(uint64_t size_bytes) {
  return (size_bytes - sizeof(JournalHead)) / sizeof(JournalEntry);
}

}  // namespace morsel::pmem
