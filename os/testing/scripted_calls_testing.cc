#include "os/testing/scripted_calls_testing.h"

#include <sys/stat.h>

#include <filesystem>
#include <type_traits>

namespace morsel::os {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWords[Call::kKinds] = {
    "open",     "read",      "write",       "write and sync", "truncate",
    "allocate", "sync data", "sync",        "rename",         "link",
    "unlink",   "make",      "change mode", "change group",   "set attribute"};

std::string WordFor(const Call& call) {
  if (call.kind == Call::kMakeDirectory) {
    return "make " + fs::path(call.name).filename().string();
  }
  if (call.kind != Call::kSync) return kWords[call.kind];
  struct stat status;
  if (fstat(call.file, &status) != 0) return "sync nothing";
  if (!S_ISDIR(status.st_mode)) return "sync file";
  const fs::path path = fs::read_symlink("/proc/self/fd/" + std::to_string(call.file));
  return "sync directory " + path.filename().string();
}

Call OfBytes(Call::Kind kind, int file, size_t size_bytes, int64_t offset) {
  return {.kind = kind,
          .file = file,
          .size_bytes = size_bytes,
          .offset = static_cast<uint64_t>(offset)};
}

}  // namespace

Script FailOnce(int64_t number, int error) {
  return [=](const Call& call) { return call.number == number ? error : 0; };
}
Script FailFrom(int64_t number, int error) {
  return [=](const Call& call) { return call.number >= number ? error : 0; };
}
Script FailEach(Call::Kind kind, int error, int good) {
  return [=](const Call& call) mutable {
    if (call.kind != kind) return 0;
    if (good == 0) return error;
    --good;
    return 0;
  };
}
Script FailReadsOf(uint64_t offset, int error) {
  return [=](const Call& call) {
    const bool has_it = call.offset <= offset && offset < call.offset + call.size_bytes;
    return call.kind == Call::kRead && has_it ? error : 0;
  };
}
Script Omit(Call::Kind kind) {
  return [=](const Call& call) { return call.kind == kind ? kOmit : 0; };
}

void ScriptedCalls::Play(Script script) {
  script_ = std::move(script);
  CountAnew();
}

void ScriptedCalls::CountAnew() {
  count_ = 0;
  for (auto& count : counts_) count = 0;
  for (auto& size_bytes : size_bytes_) size_bytes = 0;
}

void ScriptedCalls::Log(std::initializer_list<Call::Kind> kinds) {
  log_.clear();
  logged_ = 0;
  for (const Call::Kind kind : kinds) logged_ |= uint32_t{1} << kind;
}

// Returns the script's answer. If the call is to be made, this is what `make` returns for the
// number of bytes to read or write.
template <class Make>
auto ScriptedCalls::Follow(Call call, Make make) {
  using Returned = std::invoke_result_t<Make, size_t>;
  call.number = count_++;
  ++counts_[call.kind];
  size_bytes_[call.kind] += call.size_bytes;
  const int answer = script_ ? script_(call) : 0;
  if (answer > 0) {
    errno = answer;
    return Returned{-1};
  }
  if ((logged_ >> call.kind & 1) != 0) log_.push_back(WordFor(call));
  if (answer == kOmit) return Returned{0};
  if (answer == kShort || answer == kPartial) call.size_bytes = (call.size_bytes + 1) / 2;
  const Returned returned = make(call.size_bytes);
  const int error = answer == kPartial ? EIO : errno;
  call.returned = returned;
  if (after_) after_(call);
  errno = error;
  return answer == kPartial ? Returned{-1} : returned;
}

int ScriptedCalls::OpenAt(int directory, const char* name, int flags, mode_t mode) {
  return Follow({.kind = Call::kOpen, .file = directory, .name = name, .flags = flags},
                [&](size_t) { return SystemCalls::OpenAt(directory, name, flags, mode); });
}
ssize_t ScriptedCalls::PRead(int file, void* bytes, size_t size_bytes, int64_t offset) {
  return Follow(OfBytes(Call::kRead, file, size_bytes, offset),
                [&](size_t part) { return SystemCalls::PRead(file, bytes, part, offset); });
}
ssize_t ScriptedCalls::PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset) {
  Call call = OfBytes(Call::kWrite, file, size_bytes, offset);
  call.bytes = bytes;
  return Follow(call, [&](size_t part) { return SystemCalls::PWrite(file, bytes, part, offset); });
}
ssize_t ScriptedCalls::PWriteSynced(int file, const void* bytes, size_t size_bytes,
                                    int64_t offset) {
  Call call = OfBytes(Call::kWriteSynced, file, size_bytes, offset);
  call.bytes = bytes;
  // Without the sync, which would take its time.
  return Follow(call, [&](size_t part) { return SystemCalls::PWrite(file, bytes, part, offset); });
}
int ScriptedCalls::FTruncate(int file, int64_t size_bytes) {
  return Follow(OfBytes(Call::kTruncate, file, static_cast<size_t>(size_bytes), 0),
                [&](size_t) { return SystemCalls::FTruncate(file, size_bytes); });
}
int ScriptedCalls::FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) {
  Call call = OfBytes(Call::kAllocate, file, static_cast<size_t>(size_bytes), offset);
  call.flags = mode;
  return Follow(call,
                [&](size_t) { return SystemCalls::FAllocate(file, mode, offset, size_bytes); });
}
int ScriptedCalls::FDataSync(int file) {
  return Follow({.kind = Call::kDataSync, .file = file}, [](size_t) { return 0; });
}
int ScriptedCalls::FSync(int file) {
  return Follow({.kind = Call::kSync, .file = file}, [](size_t) { return 0; });
}
int ScriptedCalls::RenameAt2(int directory, const char* from, const char* to, unsigned flags) {
  return Follow({.kind = Call::kRename, .file = directory, .name = from, .to = to},
                [&](size_t) { return SystemCalls::RenameAt2(directory, from, to, flags); });
}
int ScriptedCalls::LinkAt(int directory, const char* from, const char* to) {
  return Follow({.kind = Call::kLink, .file = directory, .name = from, .to = to},
                [&](size_t) { return SystemCalls::LinkAt(directory, from, to); });
}
int ScriptedCalls::UnlinkAt(int directory, const char* name, int flags) {
  return Follow({.kind = Call::kUnlink, .file = directory, .name = name},
                [&](size_t) { return SystemCalls::UnlinkAt(directory, name, flags); });
}
int ScriptedCalls::MkDirAt(int directory, const char* name, mode_t mode) {
  return Follow({.kind = Call::kMakeDirectory, .file = directory, .name = name},
                [&](size_t) { return SystemCalls::MkDirAt(directory, name, mode); });
}
int ScriptedCalls::FChMod(int file, mode_t mode) {
  return Follow({.kind = Call::kChangeMode, .file = file, .mode = mode},
                [&](size_t) { return SystemCalls::FChMod(file, mode); });
}
int ScriptedCalls::FChOwn(int file, gid_t group) {
  return Follow({.kind = Call::kChangeGroup, .file = file},
                [&](size_t) { return SystemCalls::FChOwn(file, group); });
}
int ScriptedCalls::FSetXAttr(int file, const char* name, const void* value, size_t size_bytes) {
  return Follow({.kind = Call::kSetAttribute, .file = file, .name = name},
                [&](size_t) { return SystemCalls::FSetXAttr(file, name, value, size_bytes); });
}

}  // namespace morsel::os
