#include "os/testing/scratch_testing.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace morsel::os {
namespace {

namespace fs = std::filesystem;

constexpr char kPrefix[] = "morsel-test-";

// Not Die() of base/: simulations link a build of base/ of their own.
[[noreturn]] void GiveUp(const char* tried, const std::string& path) {
  std::fprintf(stderr, "%s '%s': %m\n", tried, path.c_str());
  std::abort();
}

// Locks the folder. The lock says that the folder is in use. A process id could not: sandboxes that
// share the place number their processes independently. The lock is on the folder itself, so that a
// new folder is empty. Returns the descriptor, or -1 if the folder is in use or gone.
int LockOf(const std::string& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return -1;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  close(descriptor);
  return -1;
}

void RemoveStale(const fs::path& place) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(place, error)) {
    if (entry.path().filename().string().rfind(kPrefix, 0) != 0) continue;
    const int lock = LockOf(entry.path());
    if (lock < 0) continue;
    fs::remove_all(entry.path(), error);
    close(lock);
  }
}

}  // namespace

Scratch::Scratch(const std::string& place) {
  RemoveStale(place);
  // It gets its name only when it is locked, so that nobody takes it for stale in between.
  std::string making = place + "/making-" + kPrefix + "XXXXXX";
  if (mkdtemp(making.data()) == nullptr) GiveUp("making a folder", making);
  lock_ = LockOf(making);
  if (lock_ < 0) GiveUp("locking", making);
  path_ = place + "/" + kPrefix + std::to_string(getpid()) + making.substr(making.rfind('-'));
  if (rename(making.c_str(), path_.c_str()) != 0) GiveUp("renaming to", path_);
}

Scratch Scratch::InMemory() {
  return access("/dev/shm", W_OK | X_OK) == 0 ? Scratch("/dev/shm") : OnDisk();
}

Scratch Scratch::OnDisk() {
  const char* const place = std::getenv("TEST_TMPDIR");
  return Scratch(place != nullptr ? place : "/tmp");
}

Scratch::~Scratch() {
  std::error_code error;
  if (kept_) {
    std::fprintf(stderr, "the files are kept in %s until the next run\n", path_.c_str());
  } else {
    fs::remove_all(path_, error);
  }
  close(lock_);
}

std::string BytesOf(const std::string& path) {
  std::string bytes(fs::file_size(path), 0);
  std::ifstream(path, std::ios::binary)
      .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

}  // namespace morsel::os
