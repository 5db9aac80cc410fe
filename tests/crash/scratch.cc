#include "tests/crash/scratch.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/check.h"

namespace morsel::crash {
namespace {

namespace fs = std::filesystem;

constexpr char kPrefix[] = "morsel-crash-";
constexpr char kLockName[] = "lock";

// A lock says whether a folder is in use: a process' number would not, since sandboxes number
// theirs apart and share the folder.
int LockIn(const fs::path& folder, int flags) {
  const int descriptor = open((folder / kLockName).c_str(), O_RDWR | O_CLOEXEC | flags, 0600);
  if (descriptor < 0) return -1;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  close(descriptor);
  return -1;
}

void RemoveStale(const fs::path& place) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(place, error)) {
    if (entry.path().filename().string().rfind(kPrefix, 0) != 0) continue;
    const int lock = LockIn(entry.path(), 0);
    if (lock < 0) continue;
    fs::remove_all(entry.path(), error);
    close(lock);
  }
}

}  // namespace

Scratch::Scratch(const std::string& place) {
  RemoveStale(place);
  // Locked under another name first, so that nobody takes it for stale in between.
  std::string making = place + "/making-" + kPrefix + "XXXXXX";
  if (mkdtemp(making.data()) == nullptr) Die("mkdtemp of '%s' failed: %m", making.c_str());
  lock_ = LockIn(making, O_CREAT);
  if (lock_ < 0) Die("'%s' cannot be locked: %m", making.c_str());
  path_ = place + "/" + kPrefix + std::to_string(getpid()) + making.substr(making.rfind('-'));
  if (rename(making.c_str(), path_.c_str()) != 0) Die("rename to '%s': %m", path_.c_str());
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

uint64_t Seed() {
  const char* const given = std::getenv("MORSEL_SEED");
  std::random_device device;
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 0) : uint64_t{device()} << 32 | device();
  std::fprintf(stderr, "MORSEL_SEED=%" PRIu64 "\n", seed);
  return seed;
}

uint64_t Rounds(uint64_t rounds) {
#if defined(__SANITIZE_THREAD__)
  return (rounds + 9) / 10;
#elif defined(__SANITIZE_ADDRESS__)
  return (rounds + 4) / 5;
#else
  return rounds;
#endif
}

}  // namespace morsel::crash
