// What a carved pool keeps beside its morsels, for the simulator: morsels of both
// kinds of subtrees come, grow, shrink and go, and the pool is formatted over. The
// oracle asks by owner: each subtree is free, or one morsel's.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "morsel/carved/carved_pool_metadata.h"
#include "sim/stores/target.h"

namespace morsel {

class MetadataTarget : public sim::Target {
 public:
  enum Operation : uint32_t {
    kCreateHuge,   ///< a morsel of two subtrees of 2 MiB
    kCreateGiant,  ///< one of one subtree of 1 GiB
    kGrow,         ///< the newest morsel, by one subtree
    kShrink,       ///< likewise
    kRemove,       ///< the oldest
    kReplace,      ///< a morsel of another name takes the place of the newest
    kCheckpoint,   ///< the newest
    kReopen,       ///< closes in order, and opens again
    kFormat,       ///< makes a new pool where this one is
    kOperations,
  };

  MetadataTarget();
  ~MetadataTarget() override;

  std::string Name() const override { return "pool-metadata"; }
  std::string NameOf(uint32_t operation) const override;
  std::vector<sim::Span> Memory() override;
  void Prepare() override;
  std::string Recover(sim::Log& log) override;
  void Perform(uint32_t operation, sim::Log& log) override;
  std::string Verify(const sim::Log& log) override;
  void Forget(bool orderly) override;
  sim::Script GoOn(uint64_t pick) override;

 private:
  /// Size in subtrees of its role, and generation; of size 0 is what does not exist.
  using State = std::pair<uint64_t, uint64_t>;
  /// By the number of a morsel: what it may be. Of others nothing may be there.
  using Morsels = std::map<uint64_t, std::set<State>>;
  struct Due {
    /// By the number of a pool, 0 where there may be none: what its morsels may be.
    std::map<uint64_t, Morsels> pools;
    /// A crash came while the pool was formatted: one of its superblocks may be missing.
    bool formatted_in_part = false;
  };

  Due DueOf(const sim::Log& log) const;
  std::string OpenAgain();
  std::string CheckAll(const Due& due, uint64_t pool, sim::Log* log);
  std::string CheckMorsels(CarvedMetadata& metadata, const Morsels& due, sim::Log* log) const;
  std::string CheckOwners(CarvedMetadata& metadata) const;
  std::string CheckReader(const Morsels& due) const;
  uint64_t Create(bool giant, sim::Log& log);
  void Grow(uint64_t morsel, sim::Log& log);
  void Shrink(uint64_t morsel, sim::Log& log);
  void Remove(uint64_t morsel, sim::Log& log);
  void Checkpoint(uint64_t morsel, sim::Log& log);
  void Format(sim::Log& log);
  SlotIndex SlotOf(uint64_t morsel) const;

  char* memory_;
  std::unique_ptr<CarvedMetadata> metadata_;
  std::string complaint_;       ///< of an operation
  std::vector<uint64_t> live_;  ///< morsels, the newest last
  uint64_t morsels_ = 0;        ///< that ever were
  uint64_t pool_ = 0;           ///< the last that was made, or was to be
};

}  // namespace morsel
