// The metadata of a carved pool, as a target of the simulator. Morsels of both kinds of subtrees
// are made, grown, shrunk and removed, and the pool is formatted anew. The oracle compares owners:
// each subtree is free, or belongs to one morsel.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "morsel/carved/carved_pool_metadata.h"
#include "os/testing/fixed_memory_testing.h"
#include "sim/stores/target.h"

namespace morsel {

class MetadataTarget : public sim::Target {
 public:
  enum Operation : uint32_t {
    kCreateHuge,   ///< a morsel of two subtrees of 2 MiB
    kCreateGiant,  ///< a morsel of one subtree of 1 GiB
    kGrow,         ///< the newest morsel, by one subtree
    kShrink,       ///< the newest morsel, by one subtree
    kRemove,       ///< the oldest morsel
    kReplace,      ///< makes a morsel with another name and removes the one that was the newest
    kCheckpoint,   ///< the newest morsel
    kRename,       ///< gives the newest morsel its other name
    kReopen,       ///< closes the pool in order, and opens it again
    kMove,         ///< gives the newest morsel its other address: another one takes its name
    kFormat,       ///< makes a new pool in the place of this one
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
  /// A morsel's size, in subtrees of its role and with kOtherName and kOtherBase where it has
  /// these, and its generation. Size 0: it does not exist.
  using State = std::pair<uint64_t, uint64_t>;
  /// The states that each morsel may be in, by its number. No other morsel may exist.
  using Morsels = std::map<uint64_t, std::set<State>>;
  struct Due {
    /// The pools that may be there, by number, and what their morsels may be. Pool 0: there may be
    /// none.
    std::map<uint64_t, Morsels> pools;
    /// A crash interrupted the formatting of the pool: one of its superblocks may be missing.
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
  void Rename(uint64_t morsel, sim::Log& log);
  void Move(uint64_t morsel, sim::Log& log);
  void Format(sim::Log& log);
  SlotIndex SlotOf(uint64_t morsel) const;

  FixedMemory medium_;
  char* const memory_;
  std::unique_ptr<CarvedMetadata> metadata_;
  std::string complaint_;       ///< what went wrong in an operation
  std::vector<uint64_t> live_;  ///< the numbers of the morsels that exist, the newest last
  uint64_t morsels_ = 0;        ///< how many morsels were ever made
  uint64_t pool_ = 0;           ///< the number of the pool that was made last, or was about to be
};

}  // namespace morsel
