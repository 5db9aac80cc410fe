// A whole carved pool in a file, for the simulator: morsels that come, grow, shrink
// and go, with roots that lead to objects in their heaps. The oracle knows of each
// morsel what it may be, and where nobody has written yet.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "morsel/open/open_pool.h"
#include "sim/stores/target.h"
#include "sim/stores/watched_file.h"
#include "sim/stores/watched_space.h"

namespace morsel {

class CarvedPoolTarget : public sim::Target {
 public:
  enum Operation : uint32_t {
    kCreate,    ///< a morsel of one subtree, every second of which grows by itself
    kGrow,      ///< the newest morsel, by one subtree
    kShrink,    ///< likewise; refused where something is in use behind
    kRemove,    ///< the oldest
    kReplace,   ///< a morsel of another name takes the place of the newest
    kRootNear,  ///< the newest morsel's root leads to a new object, and the old one is freed
    kRootFar,   ///< likewise, to an extent, in a subtree of its own where it can be
    kForgetRoot,
    kCheckpoint,  ///< stores into the root's object of the newest morsel, and makes all durable
    kReopen,      ///< closes all in order, and opens it again
    kOperations,
    kCreateGiant = kOperations,  ///< where the pool has room for one
    kImport,  ///< the first morsel again, as it was when the first life began, where it is gone
  };

  enum class Pool { kSmall, kWithGiant };
  explicit CarvedPoolTarget(Pool pool);
  ~CarvedPoolTarget() override;

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
  /// Size in subtrees of its role, and what the root's object says, 0 for none; of size 0 is what
  /// does not exist.
  using State = std::pair<uint64_t, uint64_t>;
  struct Due {
    std::map<uint64_t, std::set<State>> morsels;  ///< of others nothing may be there
    /// Morsels and subtrees of them, counted from 0, where something was written.
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
  std::string path_;
  std::string image_;  ///< the first morsel's
  std::optional<sim::SameIds> ids_;
  sim::WatchedSpace space_;
  std::unique_ptr<sim::WatchedFile> file_;
  std::unique_ptr<OpenPool> pool_;
  std::map<uint64_t, OpenMorsel*> open_;  ///< by number; the newest has the highest
  std::string complaint_;                 ///< of an operation
  uint64_t morsels_ = 0;                  ///< that ever were
  uint64_t objects_ = 0;                  ///< likewise
};

}  // namespace morsel
