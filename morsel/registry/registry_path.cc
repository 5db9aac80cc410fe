#include "morsel/registry/registry_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <vector>

#include "base/bits.h"
#include "base/descriptor_floor.h"
#include "base/error.h"
#include "morsel/pool/taken_ranges.h"
#include "morsel/registry/registry_file.h"
#include "os/file/directory.h"
#include "os/file/file.h"
#include "os/file/file_lock.h"

namespace morsel {
namespace {

constexpr char kWindows[] = "/windows";
// A user gets the part of what is left that one of so many would get.
constexpr uint64_t kParts = 16;

struct UserWindow {
  uid_t user;
  Window window;
};

// The lines of `windows`: a uid, and two addresses in hexadecimal. Nothing: there is no such file.
Result<std::vector<UserWindow>> ReadWindows(const std::string& path) {
  std::vector<UserWindow> windows;
  const DescriptorFloor floor;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             std::fclose);
  if (file == nullptr) return windows;
  char line[128];
  while (std::fgets(line, sizeof line, file.get()) != nullptr) {
    uint64_t user = 0;
    Window window;
    const int read =
        std::sscanf(line, "%" SCNu64 " %" SCNx64 " %" SCNx64, &user, &window.begin, &window.end);
    if (read != 3 || !IsPossible(window)) {
      return Fail(Code::kCorrupt, "'%s' has a line that is no user's part of the addresses: %s",
                  path.c_str(), line);
    }
    windows.push_back({static_cast<uid_t>(user), window});
  }
  return windows;
}

std::optional<Window> WindowOf(uid_t user, const std::vector<UserWindow>& windows) {
  for (const UserWindow& one : windows) {
    if (one.user == user) return one.window;
  }
  return std::nullopt;
}

bool IsOwnFolder(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         status.st_uid == geteuid() && (status.st_mode & 0002) == 0;
}

// Makes the folders of `below` in the folder `path`, and returns the last one.
std::optional<std::string> FolderIn(std::string path, std::initializer_list<const char*> below) {
  if (path.empty() || path[0] != '/' || !IsOwnFolder(path)) return std::nullopt;
  for (const char* const name : below) {
    path = path + "/" + name;
    if (mkdir(path.c_str(), 0700) != 0 && !IsOwnFolder(path)) return std::nullopt;
  }
  return path;
}

// The folder of a user for whom root has not made a registry.
std::optional<std::string> OwnFolder() {
  if (const char* const state = secure_getenv("XDG_STATE_HOME"); state != nullptr && *state) {
    return FolderIn(state, {"morsel"});
  }
  const char* const home = secure_getenv("HOME");
  if (home == nullptr) return std::nullopt;
  return FolderIn(home, {".local", "state", "morsel"});
}

// A part of `all` that meets none of the others.
std::optional<Window> FreePart(const Window& all, const std::vector<UserWindow>& windows) {
  TakenRanges taken;
  uint64_t free_bytes = all.end - all.begin;
  for (const UserWindow& one : windows) {
    const uint64_t bytes = one.window.end - one.window.begin;
    taken.Add(one.window.begin, bytes);
    free_bytes -= std::min(bytes, free_bytes);
  }
  uint64_t bytes = AlignDown(free_bytes / kParts, kGiantBytes);
  for (; bytes >= kGiantBytes; bytes = AlignDown(bytes / 2, kGiantBytes)) {
    const auto begin = taken.FirstFree(all.begin, all.end, bytes, kGiantBytes);
    if (begin) return Window{*begin, *begin + bytes};
  }
  return std::nullopt;
}

}  // namespace

std::optional<RegistryPlace> FindRegistry(const std::string& shared) {
  if (const char* const path = secure_getenv("MORSEL_ADDRESSES"); path != nullptr) {
    if (*path == '\0') return std::nullopt;
    return RegistryPlace{path, std::nullopt};
  }
  const std::string own = shared + "/" + std::to_string(geteuid());
  if (faccessat(AT_FDCWD, own.c_str(), R_OK | W_OK, AT_EACCESS) == 0) {
    const KeepLastError keep;
    const Result<std::vector<UserWindow>> windows = ReadWindows(shared + kWindows);
    if (windows) return RegistryPlace{own, WindowOf(geteuid(), *windows)};
  }
  const std::optional<std::string> folder = OwnFolder();
  if (!folder) return std::nullopt;
  return RegistryPlace{*folder + "/addresses", std::nullopt};
}

Result<RegistryPlace> MakeRegistryFor(uid_t user, const Window& all, const std::string& shared,
                                      os::SystemCalls& calls) {
  for (const std::string& folder : {shared.substr(0, shared.rfind('/')), shared}) {
    if (mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
      return FailErrno("'%s' cannot be made", folder.c_str());
    }
  }
  const std::string path = shared + kWindows;
  const Result<os::File> file =
      os::File::Open(calls, AT_FDCWD, path, O_RDWR | O_CREAT | O_APPEND, 0644, path);
  if (!file) return file.status();
  MORSEL_TRY(os::LockForWriting(*file, "'" + path + "'"));
  const Result<std::vector<UserWindow>> windows = ReadWindows(path);
  if (!windows) return windows.status();
  std::optional<Window> own = WindowOf(user, *windows);
  if (!own) {
    own = FreePart(all, *windows);
    if (!own) {
      return Fail(
          Code::kAddressExhausted,
          "'%s' has no part of the addresses left for user %u: remove the line and the file "
          "of a user who is no more",
          path.c_str(), user);
    }
    char line[64];
    const int bytes = std::snprintf(line, sizeof line, "%u %" PRIx64 " %" PRIx64 "\n", user,
                                    own->begin, own->end);
    const Result<uint64_t> end = file->SizeBytes();
    if (!end) return end.status();
    MORSEL_TRY(file->WriteAll(line, static_cast<size_t>(bytes), *end));
  }
  const RegistryPlace place = {shared + "/" + std::to_string(user), own};
  struct stat status;
  if (stat(place.path.c_str(), &status) == 0 && status.st_uid == user) return place;
  // ORDER  the user's line and the file that has it, synced  <  the user's registry
  // WHY    a registry without a line grants all addresses, other users' too. The line may be there
  //        already, and not be durable: of a call that was killed.
  // CRASH  before the registry: the user has none; the next call makes it.
  // TEST   morsel/registry/registry_path_test: TheLineIsDurableBeforeTheRegistryIsMade
  MORSEL_TRY(file->Sync());
  const Result<os::Directory> folder = os::Directory::Open(calls, shared);
  if (!folder) return folder.status();
  MORSEL_TRY(folder->Sync());
  const Result<RegistryFile> made = RegistryFile::OpenLocked(calls, place.path);
  if (!made) return made.status();
  if (chown(place.path.c_str(), user, static_cast<gid_t>(-1)) != 0) {
    return FailErrno("'%s' cannot be given to user %u", place.path.c_str(), user);
  }
  return place;
}

}  // namespace morsel
