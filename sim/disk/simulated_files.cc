#include "sim/disk/simulated_files.h"

#include <execinfo.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/bits.h"

namespace morsel::sim {
namespace {

/// Frames of this file in every stack.
constexpr int kOwnFrames = 2;

using os::Call;

// The return addresses of the callers.
void AddCallers(CallSite& site) {
  void* frames[std::tuple_size_v<decltype(site.callers)> + kOwnFrames];
  const int count = backtrace(frames, static_cast<int>(std::size(frames)));
  for (int i = kOwnFrames; i < count; ++i)
    site.callers[static_cast<size_t>(i - kOwnFrames)] = frames[i];
}

std::vector<Change> NamesChanged(std::vector<std::pair<std::string, std::optional<NodeId>>> names) {
  return {{.kind = Change::Kind::kNames, .pieces = {}, .names = std::move(names), .site = {}}};
}

}  // namespace

void Replay(const TracedCall& call, Disk& disk) {
  for (const TracedCall::Made& made : call.made) disk.Make(made.node, made.is_directory, made.mode);
  for (const auto& [node, change] : call.changes) disk.Apply(node, change);
  if (call.synced) Replay(*call.synced, disk);
}

void Replay(const TracedCall::Synced& synced, Disk& disk) {
  if (synced.range) return disk.SyncRange(synced.node, synced.range->first, synced.range->second);
  disk.Sync(synced.node, synced.data_only, synced.succeeds);
}

SimulatedFiles::SimulatedFiles(Sandbox& sandbox, Disk disk, const Fault& fault, bool sees_stores)
    : sandbox_(sandbox), disk_(std::move(disk)), fault_(fault), sees_stores_(sees_stores) {
  Play([this](const Call& call) { return Before(call); });
  AfterEach([this](const Call& call) { After(call); });
  observer_.Play([this](const Call& call) {
    if (call.kind == Call::kRead) NoteRead(call);
    return 0;
  });
  sandbox_.Show(disk_);
}

SimulatedFiles::~SimulatedFiles() { Stop(); }

void SimulatedFiles::Stop() {
  if (stopped_) return;
  SeeStores();
  sandbox_.Shows(disk_);
  stopped_ = true;
}

void SimulatedFiles::Promise(const Promises& promises, bool settles) {
  SeeStores();
  promises_.push_back({calls_.size(), promises, settles});
}

int SimulatedFiles::Strike(CallKind kind) {
  const uint64_t number = kinds_.size();
  kinds_.push_back(kind);
  if (stopped_ || number < fault_.call || (!fault_.lasts && number > fault_.call)) return 0;
  // No sync does half: it would count as failed, and be told to the library as done.
  if (fault_.error == os::kShort && kind == CallKind::kOther) return 0;
  if (fault_.error == os::kPartial && kind != CallKind::kWrite) return 0;
  if (!struck_at_) struck_at_ = calls_.size();
  return fault_.error;
}

int SimulatedFiles::Before(const Call& call) {
  if (call.kind == Call::kRead) {
    const int answer = Strike(CallKind::kRead);
    if (answer <= 0) NoteRead(call);
    return answer;
  }
  SeeStores();
  auto site = std::make_shared<CallSite>();
  site->words = InWords(call);
  AddCallers(*site);
  site_ = std::move(site);
  const bool writes = call.kind == Call::kWrite || call.kind == Call::kWriteSynced;
  const int answer = Strike(writes ? CallKind::kWrite : CallKind::kOther);
  write_fails_ = answer == os::kPartial;
  if (call.kind == Call::kSync || call.kind == Call::kDataSync) Synced(call, answer == 0);
  return answer;
}

std::string SimulatedFiles::InWords(const Call& call) const {
  const auto quoted = [](const char* name) {
    return "'" + std::string(name).substr(std::string(name).rfind('/') + 1) + "'";
  };
  const auto range = [&] {
    return std::to_string(call.size_bytes) + " bytes at " + std::to_string(call.offset) + " of " +
           NameOf(sandbox_.NodeOf(call.file));
  };
  switch (call.kind) {
    case Call::kOpen:
      return std::string((call.flags & O_CREAT) != 0 ? "making " : "opening ") + call.name;
    case Call::kWrite:
    case Call::kWriteSynced:
      return "writing " + range();
    case Call::kTruncate:
      return "resizing " + NameOf(sandbox_.NodeOf(call.file)) + " to " +
             std::to_string(call.size_bytes);
    case Call::kAllocate:
      return ((call.flags & FALLOC_FL_PUNCH_HOLE) != 0 ? "punching " : "allocating ") + range();
    case Call::kRename:
      return "renaming " + quoted(call.name) + " " + quoted(call.to);
    case Call::kLink:
      return "linking " + quoted(call.name) + " " + quoted(call.to);
    case Call::kUnlink:
      return "removing " + quoted(call.name);
    case Call::kMakeDirectory:
      return "making the directory " + quoted(call.name);
    default:
      return (call.kind == Call::kChangeMode     ? "chmod of "
              : call.kind == Call::kChangeGroup  ? "chown of "
              : call.kind == Call::kSetAttribute ? "setxattr of "
              : call.kind == Call::kSync         ? "fsync of "
                                                 : "fdatasync of ") +
             NameOf(sandbox_.NodeOf(call.file));
  }
}

void SimulatedFiles::End(TracedCall call) {
  if (stopped_) return;
  // Changes are in effect already: later ones of a call are told from earlier ones.
  if (call.synced) Replay(*call.synced, disk_);
  calls_.push_back(std::move(call));
}

void SimulatedFiles::Add(TracedCall& call, NodeId node, std::vector<Change> changes) {
  for (Change& change : changes) {
    change.site = call.site;
    disk_.Apply(node, change);
    call.changes.emplace_back(node, std::move(change));
  }
}

void SimulatedFiles::AddNew(TracedCall& call, const Place& place, int directory, const char* name,
                            int descriptor, bool is_directory) {
  struct stat status;
  const mode_t mode = fstat(descriptor, &status) == 0 ? status.st_mode & 07777 : 0;
  const NodeId node = disk_.Make(is_directory, mode);
  sandbox_.Adopt(directory, name, descriptor, node);
  call.made.push_back({node, is_directory, mode});
  Add(call, *place.directory, NamesChanged({{place.name, node}}));
}

SimulatedFiles::Place SimulatedFiles::PlaceOf(int directory, const char* name) const {
  const std::string path = name;
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {sandbox_.NodeAt(directory, "."), path};
  const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
  return {sandbox_.NodeAt(directory, parent), path.substr(slash + 1)};
}

std::optional<NodeId> SimulatedFiles::NodeIn(const Place& place) const {
  if (!place.directory) return std::nullopt;
  const auto& names = disk_.node(*place.directory).visible.names;
  const auto found = names.find(place.name);
  if (found == names.end()) return std::nullopt;
  return found->second;
}

std::string SimulatedFiles::NameOf(std::optional<NodeId> node) const {
  if (!node) return "what is not on the disk";
  if (*node == kRootNode) return "'/'";
  for (const auto& [id, directory] : disk_.nodes()) {
    for (const auto& [name, child] : directory.visible.names) {
      if (child == *node) return "'" + name + "'";
    }
  }
  return "what has no name";
}

void SimulatedFiles::NoteRead(const Call& call) {
  const std::optional<NodeId> node = sandbox_.NodeOf(call.file);
  if (!node || call.size_bytes == 0) return;
  const uint64_t begin = call.offset / kSectorBytes;
  const uint64_t end = DivideUp(call.offset + call.size_bytes, kSectorBytes);
  std::vector<bool>& sectors = sectors_read_[*node];
  if (sectors.size() < end) sectors.resize(end);
  for (uint64_t i = begin; i < end; ++i) sectors[i] = true;
}

// The sandbox's own memory needs no sync.
void SimulatedFiles::Synced(const Call& call, bool succeeds) {
  const bool data_only = call.kind == Call::kDataSync;
  const bool is_omitted = data_only && omits_sync_ && omits_sync_(data_syncs_++);
  const std::optional<NodeId> node = sandbox_.NodeOf(call.file);
  if (!node || is_omitted) return;
  TracedCall traced = Traced();
  traced.synced = {*node, data_only, succeeds};
  End(std::move(traced));
}

void SimulatedFiles::After(const Call& call) {
  const bool is_sync = call.kind == Call::kSync || call.kind == Call::kDataSync;
  if (call.returned < 0 || stopped_ || is_sync || call.kind == Call::kRead) return;
  TracedCall traced = Traced();
  if (call.kind == Call::kOpen) {
    Opened(call, traced);
    if (traced.changes.empty()) return;
  } else if (*call.name != '\0') {
    Named(call, traced);
    if (traced.changes.empty()) return;
  } else {
    const std::optional<NodeId> node = sandbox_.NodeOf(call.file);
    if (!node) return;
    if (call.kind == Call::kWrite || call.kind == Call::kWriteSynced) {
      if (call.returned != static_cast<int64_t>(call.size_bytes)) return;
      Add(traced, *node,
          disk_.Writing(*node, call.offset, static_cast<const char*>(call.bytes), call.size_bytes));
    } else if (call.kind == Call::kTruncate) {
      Add(traced, *node, disk_.Resizing(*node, call.size_bytes));
    } else if (call.kind == Call::kAllocate) {
      Allocated(call, *node, traced);
    } else if (disk_.node(*node).visible.mode != call.mode) {
      Add(traced, *node,
          {{.kind = Change::Kind::kMode,
            .pieces = {},
            .value = call.mode,
            .names = {},
            .site = {}}});
    }
  }
  End(std::move(traced));
  if (call.kind == Call::kWriteSynced) SyncWritten(call);
}

// Two steps, since power may be lost between them. What a write that fails has written is in doubt,
// as after a failed sync.                                                                [DSK-3]
void SimulatedFiles::SyncWritten(const Call& call) {
  const std::optional<NodeId> node = sandbox_.NodeOf(call.file);
  if (!node || omits_syncs_of_writes_) return;
  TracedCall traced = Traced();
  traced.synced = {*node, true, !write_fails_};
  if (!write_fails_) traced.synced->range = {call.offset, call.size_bytes};
  End(std::move(traced));
}

void SimulatedFiles::Opened(const Call& call, TracedCall& traced) {
  const int descriptor = static_cast<int>(call.returned);
  if ((call.flags & O_CREAT) != 0 && !sandbox_.NodeOf(descriptor)) {
    const Place place = PlaceOf(call.file, call.name);
    if (place.directory) AddNew(traced, place, call.file, call.name, descriptor, false);
  }
  const std::optional<NodeId> node = sandbox_.NodeOf(descriptor);
  if (node && (call.flags & O_TRUNC) != 0) Add(traced, *node, disk_.Resizing(*node, 0));
}

void SimulatedFiles::Allocated(const Call& call, NodeId node, TracedCall& traced) {
  const uint64_t end = call.offset + call.size_bytes;
  if ((call.flags & FALLOC_FL_PUNCH_HOLE) != 0) {
    Add(traced, node, disk_.Zeroing(node, call.offset, call.size_bytes));
  } else if ((call.flags & FALLOC_FL_KEEP_SIZE) == 0 &&
             end > disk_.node(node).visible.content.size_bytes()) {
    Add(traced, node, disk_.Resizing(node, end));
  }
}

// It made a directory, or changed what a name leads to.
void SimulatedFiles::Named(const Call& call, TracedCall& traced) {
  const Place place = PlaceOf(call.file, call.name);
  if (!place.directory) return;
  if (call.kind == Call::kMakeDirectory) {
    const int made = openat(call.file, call.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AddNew(traced, place, call.file, call.name, made, true);
    close(made);
    return;
  }
  const std::optional<NodeId> node = NodeIn(place);
  if (!node) return;
  if (call.kind == Call::kUnlink) {
    return Add(traced, *place.directory, NamesChanged({{place.name, std::nullopt}}));
  }
  const Place to = PlaceOf(call.file, call.to);
  if (call.kind == Call::kLink) {
    return Add(traced, *to.directory, NamesChanged({{to.name, node}}));
  }
  Add(traced, *to.directory, NamesChanged({{place.name, std::nullopt}, {to.name, node}}));
}

void SimulatedFiles::SeeStores() {
  if (!sees_stores_ || stopped_) return;
  auto site = std::make_shared<CallSite>();
  site->words = "storing through a mapping";
  TracedCall call{.site = std::move(site), .made = {}, .changes = {}, .synced = {}};
  std::vector<std::pair<NodeId, std::string>> files;
  for (const auto& [id, node] : disk_.nodes()) {
    if (!node.is_directory) files.emplace_back(id, sandbox_.BytesOf(id));
  }
  for (const auto& [id, path] : files) SeeStoresOf(id, path, call);
  if (!call.changes.empty()) End(std::move(call));
}

void SimulatedFiles::SeeStoresOf(NodeId id, const std::string& path, TracedCall& call) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  std::string bytes(Content::kPageBytes, '\0');
  const uint64_t size_bytes = disk_.node(id).visible.content.size_bytes();
  for (uint64_t offset = 0; offset < size_bytes; offset += bytes.size()) {
    const uint64_t part = std::min<uint64_t>(bytes.size(), size_bytes - offset);
    if (pread(file, bytes.data(), part, static_cast<off_t>(offset)) != static_cast<ssize_t>(part)) {
      break;
    }
    if (disk_.node(id).visible.content.Equals(offset, bytes.data(), part)) continue;
    Add(call, id, disk_.Writing(id, offset, bytes.data(), part));
  }
  close(file);
}

}  // namespace morsel::sim
