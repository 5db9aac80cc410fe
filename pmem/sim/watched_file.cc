#include "pmem/sim/watched_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdarg>
#include <random>

#include "base/check.h"
#include "pmem/sim/recorder.h"

namespace morsel::sim {
namespace {

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
};
FileIdentity watched;
std::mt19937_64* same_ids = nullptr;

FileIdentity IdentityOf(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

}  // namespace

WatchedFile::WatchedFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  struct stat status;
  MORSEL_CHECK(file >= 0 && fstat(file, &status) == 0);
  span_.size_bytes = static_cast<uint64_t>(status.st_size);
  void* const memory = mmap(nullptr, span_.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  MORSEL_CHECK(memory != MAP_FAILED);
  span_.begin = static_cast<char*>(memory);
  watched = IdentityOf(file);
  close(file);
}

WatchedFile::~WatchedFile() {
  watched = {};
  Recorder::Get().Watch({});
  munmap(span_.begin, span_.size_bytes);
}

void WatchedFile::Mapped(int descriptor, const void* address, uint64_t size_bytes,
                         uint64_t offset) {
  const FileIdentity identity = IdentityOf(descriptor);
  if (identity.inode == 0 || identity.inode != watched.inode || identity.device != watched.device) {
    return;
  }
  Recorder::Get().Alias(address, size_bytes, offset);
}

SameIds::SameIds() { same_ids = new std::mt19937_64(1); }

SameIds::~SameIds() {
  delete same_ids;
  same_ids = nullptr;
}

}  // namespace morsel::sim

using morsel::sim::Recorder;

// What the library does with mappings of the medium, by --wrap.
extern "C" {

void* __real_mremap(void* from, size_t old_bytes, size_t new_bytes, int flags, ...);
int __real_munmap(void* address, size_t size_bytes);
ssize_t __real_getrandom(void* bytes, size_t size_bytes, unsigned flags);

void* __wrap_mremap(void* from, size_t old_bytes, size_t new_bytes, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  void* const to = (flags & MREMAP_FIXED) != 0 ? va_arg(arguments, void*) : nullptr;
  va_end(arguments);
  void* const mapped = __real_mremap(from, old_bytes, new_bytes, flags, to);
  if (mapped != MAP_FAILED) Recorder::Get().Move(from, mapped, new_bytes);
  return mapped;
}

int __wrap_munmap(void* address, size_t size_bytes) {
  Recorder::Get().Forget(address, size_bytes);
  return __real_munmap(address, size_bytes);
}

ssize_t __wrap_getrandom(void* bytes, size_t size_bytes, unsigned flags) {
  if (morsel::sim::same_ids == nullptr) return __real_getrandom(bytes, size_bytes, flags);
  for (size_t i = 0; i < size_bytes; ++i) {
    static_cast<unsigned char*>(bytes)[i] =
        static_cast<unsigned char>((*morsel::sim::same_ids)() >> 32);
  }
  return static_cast<ssize_t>(size_bytes);
}

}  // extern "C"
