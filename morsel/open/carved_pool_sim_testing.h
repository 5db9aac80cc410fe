// A whole carved pool in a file, as a target of the simulator. Morsels are made, grown, shrunk and
// removed, and their roots lead to objects in their heaps. The oracle knows which states each
// morsel may be in, and which subtrees nobody has written to.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "morsel/open/open_pool.h"
#include "os/testing/scratch_testing.h"
#include "sim/stores/target.h"
#include "sim/stores/watched_file.h"
#include "sim/stores/watched_space.h"

namespace morsel {

class CarvedPoolTarget : public sim::Target {
 public:
  enum Operation : uint32_t {
    kCreate,    ///< a morsel of one subtree; every second one grows by itself
    kGrow,      ///< the newest morsel, by one subtree
    kShrink,    ///< the newest morsel, by one subtree; refused if blocks are in use there
    kRemove,    ///< the oldest morsel
    kReplace,   ///< makes a morsel with another name and removes the one that was the newest
    kRootNear,  ///< the newest morsel's root leads to a new object, and the old one is freed
    kRootFar,   ///< like kRootNear, to an extent, in a subtree of its own if possible
    kForgetRoot,
    kCheckpoint,  ///< stores into the object of the newest morsel's root, and checkpoints the
                  ///< morsel
    kReopen,      ///< closes everything in order, and opens it again
    kOperations,
    kCreateGiant = kOperations,  ///< if the pool has room for a giant morsel
    kImport,  ///< imports the first morsel as it was at the start, if it was removed
  };

  enum class Pool { kSmall, kWithGiant };
  explicit CarvedPoolTarget(Pool pool) : kind_(pool) {}

  std::string Name() const override { return "carved-pool"; }
  std::string NameOf(uint32_t operation) const override;
  std::vector<sim::Span> Memory() override { return file_->spans(); }
  void Prepare() override;
  std::string Recover(sim::Log& log) override;
  void Perform(uint32_t operation, sim::Log& log) override;
  std::string Verify(const sim::Log& log) override;
  void Forget(bool orderly) override;
  sim::Script GoOn(uint64_t pick) override;

 private:
  /// A morsel's size, in subtrees of its role, and what its root's object says (0: it has no root).
  /// Size 0: the morsel does not exist.
  using State = std::pair<uint64_t, uint64_t>;
  struct Due {
    std::map<uint64_t, std::set<State>> morsels;  ///< by number; no other morsel may exist
    /// Where something was written: the number of a morsel, and a subtree of it, counted from 0.
    std::set<std::pair<uint64_t, uint64_t>> written;
  };

  Due DueOf(const sim::Log& log) const;
  std::string OpenAll();
  std::string CheckAll(const Due& due, sim::Log* log);
  std::string CheckZeroes(uint64_t morsel, const Due& due) const;
  std::string CheckObject(OpenMorsel& morsel, uint64_t* says) const;
  std::string Validate();
  void Must(bool done, const char* what);

  void Create(bool giant, sim::Log& log);
  void Import(sim::Log& log);
  void Resize(uint64_t morsel, bool grow, sim::Log& log);
  void Remove(uint64_t morsel, sim::Log& log);
  void SetRoot(uint64_t morsel, bool far, sim::Log& log);
  void ForgetRoot(uint64_t morsel, sim::Log& log);
  void Checkpoint(uint64_t morsel, sim::Log& log);
  void Reopen();
  State StateOf(uint64_t morsel) const;

  Pool kind_;
  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string path_ = scratch_.At("pool");
  std::string image_ = scratch_.At("image");  ///< the path of the first morsel's image
  std::optional<sim::SameIds> ids_;
  sim::WatchedSpace space_;
  std::unique_ptr<sim::WatchedFile> file_;
  std::unique_ptr<OpenPool> pool_;
  std::map<uint64_t, OpenMorsel*> open_;  ///< by number; the newest has the highest
  std::string complaint_;                 ///< what went wrong in an operation
  uint64_t morsels_ = 0;                  ///< how many morsels were ever made
  uint64_t objects_ = 0;                  ///< how many objects were ever made
};

}  // namespace morsel
