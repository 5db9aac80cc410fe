// Who owns which subtree of a pool. The truth is durable words; above them is a volatile
// summary of what is free and who owns what, which Load() builds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alloc/subtrees/free_subtrees.h"
#include "alloc/subtrees/subtree_map_layout.h"
#include "base/result.h"
#include "base/units.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// What the catalog says of an owner.
struct OwnerState {
  bool is_live = false;
  bool is_damaged = false;  ///< it may be live, and nobody knows what it owns
  SubtreeRole role = SubtreeRole::kHuge;
  uint64_t size_subtrees = 0;
};

/// A map over words in any memory. It knows nothing of files and names.
/// Threads  one at a time.
class SubtreeMap {
 public:
  /// The first subtree that is aligned to 1 GiB on the medium has the index `giant_phase`.
  /// `subject` names the pool in messages.
  /// Ownership  `words` has `count` words, which outlive the map.
  SubtreeMap(uint64_t* words, uint64_t count, uint64_t giant_phase, pmem::Persist persist,
             std::string subject)
      : words_(words),
        count_(count),
        free_(count, giant_phase),
        persist_(persist),
        subject_(std::move(subject)) {}

  /// Writes a map in which all subtrees are free.
  /// Durability  flushed; the caller fences.
  void Format();

  enum class Access {
    kRead,              ///< nothing on the medium changes
    kWrite,             ///< stale words are cleaned
    kWriteAfterUnclean  ///< as kWrite, and no word that is read counts as durable
  };
  /// Reads all words and builds the summary. owners[i] is what the catalog says of owner i + 1. If
  /// a word is wrong, that is kept for findings(), and Load() itself does not fail. To be called
  /// once, before the calls below.
  /// Durability  with kWriteAfterUnclean, of all words that were read: on return.
  void Load(const std::vector<OwnerState>& owners, Access access);
  bool is_loaded() const { return is_loaded_; }

  /// One message for each thing that breaks [S-3] or [S-4], or is damage [S-6].
  const std::vector<std::string>& findings() const { return findings_; }

  /// The subtrees of an owner, by position; of a giant one, the first of its 512.
  /// Errors  kCorrupt: some are missing, or there twice.
  Result<std::vector<SubtreeIndex>> Subtrees(uint64_t owner) const;

  /// Claims free subtrees. Nothing on the medium changes.
  /// Durability  volatile: after a crash they are free again.
  /// Ownership   the caller ends the claim with exactly one Record() or Cancel() of all of it.
  /// Units       size_subtrees: subtrees of 2 MiB, a multiple of 512 for giant ones.
  /// Errors      kNoSpace: nothing is claimed; kCorrupt: the map is damaged [S-6].
  Result<std::vector<SubtreeIndex>> Reserve(SubtreeRole role, uint64_t size_subtrees);
  /// Gives a claim back: its subtrees are free.
  void Cancel(SubtreeRole role, const std::vector<SubtreeIndex>& subtrees);

  /// Writes the words of `subtrees`, which were reserved: they follow those that the owner has. The
  /// words are stale until the catalog says that the owner has so many.
  /// Durability  on return.
  /// Cost        flushes the words' lines; one fence.
  void Record(uint64_t owner, SubtreeRole role, const std::vector<SubtreeIndex>& subtrees);

  /// Cleans the words of the owner from position `size_subtrees` on, and returns their subtrees,
  /// which are free now. The words are stale: the catalog says already, durably, that the owner is
  /// shorter.
  /// Durability  on return.
  /// Cost        flushes the words' lines; one fence.
  std::vector<SubtreeIndex> Truncate(uint64_t owner, SubtreeRole role, uint64_t size_subtrees);

  uint64_t count() const { return count_; }
  /// How many subtrees of 2 MiB are free. It means something only after Load().
  uint64_t free_count() const { return free_.free_count(); }
  /// How many words Reserve() has read so far, for tests of its cost.
  uint64_t looked_at() const { return free_.looked_at(); }

 private:
  void Classify(const std::vector<OwnerState>& owners, std::vector<uint64_t>& stale);
  void AddLive(uint64_t index, const SubtreeWord& subtree, uint64_t size_subtrees);
  void FindMissing(const std::vector<OwnerState>& owners);
  void Clean(const std::vector<uint64_t>& indices);

  uint64_t* words_;
  uint64_t count_;
  FreeSubtrees free_;
  pmem::Persist persist_;
  std::string subject_;
  bool is_loaded_ = false;
  bool is_damaged_ = false;
  std::vector<std::string> findings_;
  std::vector<std::vector<SubtreeIndex>> owned_;  ///< [i]: the subtrees of owner i + 1, by position
  std::vector<bool> incomplete_;                  ///< [i]: owner i + 1 breaks [S-4]
};

/// How many subtrees of 2 MiB one of `role` is.
constexpr uint64_t SubtreesOf(SubtreeRole role) {
  return role == SubtreeRole::kGiant ? kSubtreesPerGiant : 1;
}

}  // namespace morsel::alloc
