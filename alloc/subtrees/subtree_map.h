// Who owns which subtree of a pool: durable words below, a volatile summary
// above that is built when something is first asked for.
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
  bool is_damaged = false;  ///< it may be live: what is its own cannot be known
  SubtreeRole role = SubtreeRole::kHuge;
  uint64_t size_subtrees = 0;
};

/// Over any memory; knows nothing of files and names.
/// Threads  one at a time.
class SubtreeMap {
 public:
  /// `words` has `count` words. The first subtree that is aligned to 1 GiB on the medium has the
  /// index `giant_phase`.
  SubtreeMap(uint64_t* words, uint64_t count, uint64_t giant_phase, pmem::Persist persist,
             std::string subject)
      : words_(words),
        count_(count),
        free_(count, giant_phase),
        persist_(persist),
        subject_(std::move(subject)) {}

  /// Writes a map in which all is free.
  /// Durability  flushed; the caller fences.
  void Format();

  enum class Access {
    kRead,              ///< nothing on the medium changes
    kWrite,             ///< what is stale is cleaned
    kWriteAfterUnclean  ///< and every word counts as not durable
  };
  /// Reads all words once and builds the summary. owners[i] is what the catalog says of owner i
  /// + 1. What is wrong is kept for findings() and does not fail here. Durability
  /// kWriteAfterUnclean: what was read is durable on return.
  void Load(const std::vector<OwnerState>& owners, Access access);
  bool is_loaded() const { return is_loaded_; }

  /// One sentence for each thing that breaks [S-3] or [S-4] or is damage [S-6].
  const std::vector<std::string>& findings() const { return findings_; }

  /// The first words of the owner's subtrees, by position.
  /// Errors  kCorrupt: some are missing or there twice.
  Result<std::vector<SubtreeIndex>> Subtrees(uint64_t owner) const;

  /// Claims room for `size_subtrees`, a multiple of 512 for giant ones. Nothing on the medium
  /// changes.
  /// Ownership  ended by exactly one Record() or Cancel() of all of it.
  /// Errors     kNoSpace: nothing is claimed; kCorrupt [S-6].
  Result<std::vector<SubtreeIndex>> Reserve(SubtreeRole role, uint64_t size_subtrees);
  void Cancel(SubtreeRole role, const std::vector<SubtreeIndex>& subtrees);

  /// Writes down that `subtrees` follow those that the owner has. The words are stale until the
  /// catalog says that the owner has so many.
  /// Durability  on return.
  /// Cost  the words' lines, one fence.
  void Record(uint64_t owner, SubtreeRole role, const std::vector<SubtreeIndex>& subtrees);

  /// Cleans the words of the owner from position `size_subtrees` on, which are stale: the catalog
  /// says so already, durably. Their space is free afterwards.
  /// Durability  on return.
  /// Cost  the words' lines, one fence.
  /// Returns     what is free now.
  std::vector<SubtreeIndex> Truncate(uint64_t owner, SubtreeRole role, uint64_t size_subtrees);

  uint64_t count() const { return count_; }
  /// Only meaningful after Load().
  uint64_t free_count() const { return free_.free_count(); }
  /// How many words Reserve() has read in all: tests hold what it costs against a bound.
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
  std::vector<std::vector<SubtreeIndex>> owned_;  ///< of owner i + 1, by position
  std::vector<bool> incomplete_;                  ///< owner i + 1 breaks [S-4]
};

/// How many subtrees of 2 MiB one of `role` is.
constexpr uint64_t SubtreesOf(SubtreeRole role) {
  return role == SubtreeRole::kGiant ? kSubtreesPerGiant : 1;
}

}  // namespace morsel::alloc
