// The seam for files, over a disk that can be crashed. Calls go to a sandbox, where the kernel
// answers them. What they change is remembered as undecided until a sync. Any call can be made to
// fail.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "os/testing/scripted_calls_testing.h"
#include "sim/disk/disk.h"
#include "sim/disk/disk_cover.h"
#include "sim/disk/promises.h"
#include "sim/disk/sandbox.h"

namespace morsel::sim {

struct Fault {
  static constexpr uint64_t kNever = ~uint64_t{0};
  uint64_t call = kNever;
  int error = 0;       ///< an errno, or os::kShort or os::kPartial
  bool lasts = false;  ///< it fails, and all calls that follow
};

/// Decides which faults a call can have.
enum class CallKind : uint8_t { kRead, kWrite, kOther };

/// What one call did to the disk.
struct TracedCall {
  struct Made {
    NodeId node;
    bool is_directory;
    mode_t mode;
  };
  struct Synced {
    NodeId node;
    bool data_only;
    bool succeeds;
    /// Of a write that syncs what it has written, and nothing else.
    std::optional<std::pair<uint64_t, uint64_t>> range{};  ///< offset, size_bytes
  };
  std::shared_ptr<const CallSite> site;
  std::vector<Made> made;
  std::vector<std::pair<NodeId, Change>> changes;
  std::optional<Synced> synced;
};

void Replay(const TracedCall& call, Disk& disk);
void Replay(const TracedCall::Synced& synced, Disk& disk);

/// What had been promised after a number of calls.
struct TracedPromise {
  size_t calls;
  Promises promises;
  bool settles;  ///< something is promised that was not before
};

/// Threads  one.
class SimulatedFiles : public os::ScriptedCalls {
 public:
  /// Shows the disk. `sees_stores`: the code also changes files through mappings. What then differs
  /// from what was written counts as written when the next call comes.
  SimulatedFiles(Sandbox& sandbox, Disk disk, const Fault& fault, bool sees_stores);
  ~SimulatedFiles() override;

  const Disk& disk() const { return disk_; }
  const std::vector<TracedCall>& calls() const { return calls_; }
  const std::vector<TracedPromise>& promises() const { return promises_; }
  /// The kinds of all calls, including those that changed nothing.
  const std::vector<CallKind>& kinds() const { return kinds_; }
  /// Whether the fault has made a call fail.
  bool struck() const { return struck_at_.has_value(); }
  /// The size of calls() at that moment.
  std::optional<size_t> struck_at() const { return struck_at_; }

  /// The sectors that were read so far.
  const SectorsRead& sectors_read() const { return sectors_read_; }

  /// The kernel's calls, for an oracle. They never fail by the fault. What they read counts as
  /// read.
  /// Ownership  of this object.
  os::SystemCalls& observer() { return observer_; }

  void Promise(const Promises& promises, bool settles);
  /// Notes the end of the process. Calls that follow are not its own.
  void Stop();

  /// Plants a bug that an oracle must find: data syncs for which `omits` is true report success but
  /// do nothing. They are counted from 0 from now on. An empty `omits` ends that.
  void OmitDataSyncs(std::function<bool(uint64_t number)> omits) {
    omits_sync_ = std::move(omits);
    data_syncs_ = 0;
  }

  /// Likewise: from now on a write that syncs what it writes does not.
  void OmitSyncsOfWrites() { omits_syncs_of_writes_ = true; }

 private:
  struct Place {
    std::optional<NodeId> directory;
    std::string name;
  };

  /// What happens to the call, and what comes before it.
  int Before(const os::Call& call);
  /// Notes what it did.
  void After(const os::Call& call);
  int Strike(CallKind kind);
  void NoteRead(const os::Call& call);
  std::string InWords(const os::Call& call) const;
  void Synced(const os::Call& call, bool succeeds);
  void SyncWritten(const os::Call& call);
  void Opened(const os::Call& call, TracedCall& traced);
  void Allocated(const os::Call& call, NodeId node, TracedCall& traced);
  void Named(const os::Call& call, TracedCall& traced);
  TracedCall Traced() const { return {.site = site_, .made = {}, .changes = {}, .synced = {}}; }
  void End(TracedCall call);
  void Add(TracedCall& call, NodeId node, std::vector<Change> changes);
  void AddNew(TracedCall& call, const Place& place, int directory, const char* name, int descriptor,
              bool is_directory);
  Place PlaceOf(int directory, const char* name) const;
  std::optional<NodeId> NodeIn(const Place& place) const;
  std::string NameOf(std::optional<NodeId> node) const;
  void SeeStores();
  void SeeStoresOf(NodeId id, const std::string& path, TracedCall& call);

  Sandbox& sandbox_;
  Disk disk_;
  Fault fault_;
  bool sees_stores_;
  bool stopped_ = false;
  std::function<bool(uint64_t number)> omits_sync_;
  uint64_t data_syncs_ = 0;
  bool omits_syncs_of_writes_ = false;
  bool write_fails_ = false;  ///< the write that is being made is made in part, and fails
  std::optional<size_t> struck_at_;
  std::shared_ptr<const CallSite> site_;  ///< of the call that is being made
  os::ScriptedCalls observer_;
  SectorsRead sectors_read_;
  std::vector<CallKind> kinds_;
  std::vector<TracedCall> calls_;
  std::vector<TracedPromise> promises_;
};

}  // namespace morsel::sim
