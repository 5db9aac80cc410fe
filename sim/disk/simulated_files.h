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

#include "os/file/system_calls.h"
#include "sim/disk/disk.h"
#include "sim/disk/disk_cover.h"
#include "sim/disk/promises.h"
#include "sim/disk/sandbox.h"

namespace morsel::sim {

struct Fault {
  static constexpr uint64_t kNever = ~uint64_t{0};
  static constexpr int kShort = -1;    ///< half of what is read or written
  static constexpr int kPartial = -2;  ///< half of what is written, and EIO
  uint64_t call = kNever;
  int error = 0;       ///< an errno, or one of those
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
  };
  std::shared_ptr<const CallSite> site;
  std::vector<Made> made;
  std::vector<std::pair<NodeId, Change>> changes;
  std::optional<Synced> synced;
};

void Replay(const TracedCall& call, Disk& disk);

/// What had been promised after a number of calls.
struct TracedPromise {
  size_t calls;
  Promises promises;
  bool settles;  ///< something is promised that was not before
};

/// Threads  one.
class SimulatedFiles : public os::SystemCalls {
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

  int OpenAt(int directory, const char* name, int flags, mode_t mode) override;
  ssize_t PRead(int file, void* bytes, size_t size_bytes, int64_t offset) override;
  ssize_t PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset) override;
  int FTruncate(int file, int64_t size_bytes) override;
  int FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) override;
  int FDataSync(int file) override;
  int FSync(int file) override;
  int RenameAt2(int directory, const char* from, const char* to, unsigned flags) override;
  int LinkAt(int directory, const char* from, const char* to) override;
  int UnlinkAt(int directory, const char* name, int flags) override;
  int MkDirAt(int directory, const char* name, mode_t mode) override;
  int FChMod(int file, mode_t mode) override;

 private:
  class Observer : public os::SystemCalls {
   public:
    explicit Observer(SimulatedFiles& files) : files_(files) {}
    ssize_t PRead(int file, void* bytes, size_t size_bytes, int64_t offset) override;

   private:
    SimulatedFiles& files_;
  };
  struct Place {
    std::optional<NodeId> directory;
    std::string name;
  };

  bool Fails(CallKind kind = CallKind::kOther);
  void NoteRead(int file, size_t size_bytes, int64_t offset);
  TracedCall Begin(const char* call, const std::string& object);
  void End(TracedCall call);
  void Add(TracedCall& call, NodeId node, std::vector<Change> changes);
  void AddNames(TracedCall& call, NodeId directory,
                std::vector<std::pair<std::string, std::optional<NodeId>>> names);
  NodeId AddNew(TracedCall& call, const Place& place, int directory, const char* name,
                int descriptor, bool is_directory);
  int Sync(int file, bool data_only);
  int Renamed(const char* call, int directory, const char* from, const char* to, bool keeps_from,
              unsigned flags);
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
  std::optional<size_t> struck_at_;
  bool is_short_ = false;
  bool is_partial_ = false;
  Observer observer_{*this};
  SectorsRead sectors_read_;
  std::vector<CallKind> kinds_;
  std::vector<TracedCall> calls_;
  std::vector<TracedPromise> promises_;
};

}  // namespace morsel::sim
