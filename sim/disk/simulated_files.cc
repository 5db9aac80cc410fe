#include "sim/disk/simulated_files.h"

#include <execinfo.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>

#include "base/bits.h"

namespace morsel::sim {
namespace {

/// Frames of this file in every stack.
constexpr int kOwnFrames = 3;

std::string Range(const char* words, int64_t size_bytes, int64_t offset) {
  char text[96];
  std::snprintf(text, sizeof text, "%s%" PRId64 " bytes at %" PRId64 " of ", words, size_bytes,
                offset);
  return text;
}

size_t Half(size_t size_bytes) { return (size_bytes + 1) / 2; }

}  // namespace

void Replay(const TracedCall& call, Disk& disk) {
  for (const TracedCall::Made& made : call.made) disk.Make(made.node, made.is_directory, made.mode);
  for (const auto& [node, change] : call.changes) disk.Apply(node, change);
  if (call.synced) disk.Sync(call.synced->node, call.synced->data_only, call.synced->succeeds);
}

SimulatedFiles::SimulatedFiles(Sandbox& sandbox, Disk disk, const Fault& fault, bool sees_stores)
    : sandbox_(sandbox), disk_(std::move(disk)), fault_(fault), sees_stores_(sees_stores) {
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

bool SimulatedFiles::Fails(CallKind kind) {
  const uint64_t number = kinds_.size();
  kinds_.push_back(kind);
  is_short_ = false;
  is_partial_ = false;
  if (stopped_ || number < fault_.call || (!fault_.lasts && number > fault_.call)) return false;
  if (!struck_at_) struck_at_ = calls_.size();
  is_short_ = fault_.error == Fault::kShort;
  is_partial_ = fault_.error == Fault::kPartial;
  errno = fault_.error;
  return fault_.error > 0;
}

TracedCall SimulatedFiles::Begin(const char* call, const std::string& object) {
  SeeStores();
  auto site = std::make_shared<CallSite>();
  site->words = std::string(call) + " " + object;
  void* frames[std::tuple_size_v<decltype(site->callers)> + kOwnFrames];
  const int count = backtrace(frames, static_cast<int>(std::size(frames)));
  for (int i = kOwnFrames - 1; i < count; ++i) {
    const auto at = static_cast<size_t>(i - kOwnFrames + 1);
    if (at < site->callers.size()) site->callers[at] = frames[i];
  }
  return {.site = std::move(site), .made = {}, .changes = {}, .synced = {}};
}

void SimulatedFiles::End(TracedCall call) {
  if (stopped_) return;
  // Changes are in effect already: later ones of a call are told from earlier ones.
  if (call.synced) disk_.Sync(call.synced->node, call.synced->data_only, call.synced->succeeds);
  calls_.push_back(std::move(call));
}

void SimulatedFiles::Add(TracedCall& call, NodeId node, std::vector<Change> changes) {
  for (Change& change : changes) {
    change.site = call.site;
    disk_.Apply(node, change);
    call.changes.emplace_back(node, std::move(change));
  }
}

void SimulatedFiles::AddNames(TracedCall& call, NodeId directory,
                              std::vector<std::pair<std::string, std::optional<NodeId>>> names) {
  Add(call, directory,
      {{.kind = Change::Kind::kNames, .pieces = {}, .names = std::move(names), .site = {}}});
}

NodeId SimulatedFiles::AddNew(TracedCall& call, const Place& place, int directory, const char* name,
                              int descriptor, bool is_directory) {
  struct stat status;
  const mode_t mode = fstat(descriptor, &status) == 0 ? status.st_mode & 07777 : 0;
  const NodeId node = disk_.Make(is_directory, mode);
  sandbox_.Adopt(directory, name, descriptor, node);
  call.made.push_back({node, is_directory, mode});
  AddNames(call, *place.directory, {{place.name, node}});
  return node;
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

int SimulatedFiles::OpenAt(int directory, const char* name, int flags, mode_t mode) {
  TracedCall call = Begin((flags & O_CREAT) != 0 ? "making" : "opening", name);
  if (Fails()) return -1;
  const int descriptor = SystemCalls::OpenAt(directory, name, flags, mode);
  if (descriptor < 0 || stopped_) return descriptor;
  if ((flags & O_CREAT) != 0 && !sandbox_.NodeOf(descriptor)) {
    const Place place = PlaceOf(directory, name);
    if (place.directory) AddNew(call, place, directory, name, descriptor, false);
  }
  const std::optional<NodeId> node = sandbox_.NodeOf(descriptor);
  if (node && (flags & O_TRUNC) != 0) Add(call, *node, disk_.Resizing(*node, 0));
  if (!call.changes.empty()) End(std::move(call));
  return descriptor;
}

ssize_t SimulatedFiles::PRead(int file, void* bytes, size_t size_bytes, int64_t offset) {
  if (Fails(CallKind::kRead)) return -1;
  NoteRead(file, size_bytes, offset);
  return SystemCalls::PRead(file, bytes, is_short_ ? Half(size_bytes) : size_bytes, offset);
}

ssize_t SimulatedFiles::Observer::PRead(int file, void* bytes, size_t size_bytes, int64_t offset) {
  files_.NoteRead(file, size_bytes, offset);
  return SystemCalls::PRead(file, bytes, size_bytes, offset);
}

void SimulatedFiles::NoteRead(int file, size_t size_bytes, int64_t offset) {
  const std::optional<NodeId> node = sandbox_.NodeOf(file);
  if (!node || size_bytes == 0) return;
  const auto begin = static_cast<uint64_t>(offset) / kSectorBytes;
  const uint64_t end = DivideUp(static_cast<uint64_t>(offset) + size_bytes, kSectorBytes);
  std::vector<bool>& sectors = sectors_read_[*node];
  if (sectors.size() < end) sectors.resize(end);
  for (uint64_t i = begin; i < end; ++i) sectors[i] = true;
}

ssize_t SimulatedFiles::PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset) {
  const std::optional<NodeId> node = sandbox_.NodeOf(file);
  TracedCall call =
      Begin("writing", Range("", static_cast<int64_t>(size_bytes), offset) + NameOf(node));
  if (Fails(CallKind::kWrite)) return -1;
  if (is_short_ || is_partial_) size_bytes = Half(size_bytes);
  const bool fails = is_partial_;
  std::vector<Change> changes;
  const auto at = static_cast<uint64_t>(offset);
  if (node && !stopped_) {
    changes = disk_.Writing(*node, at, static_cast<const char*>(bytes), size_bytes);
  }
  const ssize_t put = SystemCalls::PWrite(file, bytes, size_bytes, offset);
  if (node && !stopped_ && put == static_cast<ssize_t>(size_bytes)) {
    Add(call, *node, std::move(changes));
    End(std::move(call));
  }
  if (!fails) return put;
  errno = EIO;
  return -1;
}

int SimulatedFiles::FTruncate(int file, int64_t size_bytes) {
  const std::optional<NodeId> node = sandbox_.NodeOf(file);
  TracedCall call = Begin("resizing", NameOf(node) + " to " + std::to_string(size_bytes));
  if (Fails()) return -1;
  const int failed = SystemCalls::FTruncate(file, size_bytes);
  if (failed != 0 || !node || stopped_) return failed;
  Add(call, *node, disk_.Resizing(*node, static_cast<uint64_t>(size_bytes)));
  End(std::move(call));
  return 0;
}

int SimulatedFiles::FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) {
  const std::optional<NodeId> node = sandbox_.NodeOf(file);
  const bool punches = (mode & FALLOC_FL_PUNCH_HOLE) != 0;
  TracedCall call =
      Begin(punches ? "punching" : "allocating", Range("", size_bytes, offset) + NameOf(node));
  if (Fails()) return -1;
  const int failed = SystemCalls::FAllocate(file, mode, offset, size_bytes);
  if (failed != 0 || !node || stopped_) return failed;
  const auto begin = static_cast<uint64_t>(offset);
  const uint64_t end = begin + static_cast<uint64_t>(size_bytes);
  if (punches) {
    Add(call, *node, disk_.Zeroing(*node, begin, end - begin));
  } else if ((mode & FALLOC_FL_KEEP_SIZE) == 0 &&
             end > disk_.node(*node).visible.content.size_bytes()) {
    Add(call, *node, disk_.Resizing(*node, end));
  }
  End(std::move(call));
  return 0;
}

int SimulatedFiles::Sync(int file, bool data_only) {
  const std::optional<NodeId> node = sandbox_.NodeOf(file);
  TracedCall call = Begin(data_only ? "fdatasync of" : "fsync of", NameOf(node));
  const bool fails = Fails();
  const bool is_omitted = data_only && omits_sync_ && omits_sync_(data_syncs_++);
  // The sandbox's own memory needs no sync.
  if (node && !stopped_ && !is_omitted) {
    call.synced = {*node, data_only, !fails};
    End(std::move(call));
  }
  return fails ? -1 : 0;
}

int SimulatedFiles::FDataSync(int file) { return Sync(file, true); }
int SimulatedFiles::FSync(int file) { return Sync(file, false); }

int SimulatedFiles::Renamed(const char* call_name, int directory, const char* from, const char* to,
                            bool keeps_from, unsigned flags) {
  const Place place_from = PlaceOf(directory, from);
  const Place place_to = PlaceOf(directory, to);
  const std::optional<NodeId> node = NodeIn(place_from);
  TracedCall call = Begin(call_name, "'" + place_from.name + "' '" + place_to.name + "'");
  if (Fails()) return -1;
  const int failed = keeps_from ? SystemCalls::LinkAt(directory, from, to)
                                : SystemCalls::RenameAt2(directory, from, to, flags);
  if (failed != 0 || !node || stopped_) return failed;
  if (keeps_from) {
    AddNames(call, *place_to.directory, {{place_to.name, node}});
  } else {
    AddNames(call, *place_to.directory, {{place_from.name, std::nullopt}, {place_to.name, node}});
  }
  End(std::move(call));
  return 0;
}

int SimulatedFiles::RenameAt2(int directory, const char* from, const char* to, unsigned flags) {
  return Renamed("renaming", directory, from, to, false, flags);
}

int SimulatedFiles::LinkAt(int directory, const char* from, const char* to) {
  return Renamed("linking", directory, from, to, true, 0);
}

int SimulatedFiles::UnlinkAt(int directory, const char* name, int flags) {
  const Place place = PlaceOf(directory, name);
  const std::optional<NodeId> node = NodeIn(place);
  TracedCall call = Begin("removing", "'" + place.name + "'");
  if (Fails()) return -1;
  const int failed = SystemCalls::UnlinkAt(directory, name, flags);
  if (failed != 0 || !node || stopped_) return failed;
  AddNames(call, *place.directory, {{place.name, std::nullopt}});
  End(std::move(call));
  return 0;
}

int SimulatedFiles::MkDirAt(int directory, const char* name, mode_t mode) {
  const Place place = PlaceOf(directory, name);
  TracedCall call = Begin("making the directory", "'" + place.name + "'");
  if (Fails()) return -1;
  const int failed = SystemCalls::MkDirAt(directory, name, mode);
  if (failed != 0 || !place.directory || stopped_) return failed;
  const int made = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  AddNew(call, place, directory, name, made, true);
  close(made);
  End(std::move(call));
  return 0;
}

int SimulatedFiles::FChMod(int file, mode_t mode) {
  const std::optional<NodeId> node = sandbox_.NodeOf(file);
  TracedCall call = Begin("chmod of", NameOf(node));
  if (Fails()) return -1;
  const int failed = SystemCalls::FChMod(file, mode);
  if (failed != 0 || !node || stopped_) return failed;
  if (disk_.node(*node).visible.mode != mode) {
    Add(call, *node,
        {{.kind = Change::Kind::kMode, .pieces = {}, .value = mode, .names = {}, .site = {}}});
  }
  End(std::move(call));
  return 0;
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
