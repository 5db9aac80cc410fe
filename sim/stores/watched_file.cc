#include "sim/stores/watched_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdarg>
#include <random>
#include <utility>

#include "base/check.h"
#include "sim/stores/recorder.h"

namespace morsel::sim {
namespace {

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
};
FileIdentity watched;
const WatchedFile* watched_file = nullptr;
std::mt19937_64* same_ids = nullptr;

FileIdentity IdentityOf(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

}  // namespace

WatchedFile::WatchedFile(const std::string& path, std::vector<FilePart> parts)
    : parts_(std::move(parts)) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  struct stat status;
  MORSEL_CHECK(file >= 0 && fstat(file, &status) == 0);
  if (parts_.empty()) parts_ = {{0, static_cast<uint64_t>(status.st_size)}};
  for (const FilePart& part : parts_) {
    void* const memory = mmap(nullptr, part.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file,
                              static_cast<off_t>(part.offset));
    MORSEL_CHECK(memory != MAP_FAILED);
    spans_.push_back({static_cast<char*>(memory), part.size_bytes});
  }
  watched = IdentityOf(file);
  watched_file = this;
  close(file);
}

WatchedFile::~WatchedFile() {
  watched = {};
  watched_file = nullptr;
  Recorder::Get().Watch({});
  for (const Span& span : spans_) munmap(span.begin, span.size_bytes);
}

void WatchedFile::Mapped(int descriptor, const void* address, uint64_t size_bytes,
                         uint64_t offset) {
  const FileIdentity identity = IdentityOf(descriptor);
  if (identity.inode == 0 || identity.inode != watched.inode || identity.device != watched.device) {
    return;
  }
  uint64_t in_medium = 0;
  for (const FilePart& part : watched_file->parts_) {
    const uint64_t begin = std::max(offset, part.offset);
    const uint64_t end = std::min(offset + size_bytes, part.offset + part.size_bytes);
    if (begin < end) {
      Recorder::Get().Alias(static_cast<const char*>(address) + (begin - offset), end - begin,
                            in_medium + (begin - part.offset));
    }
    in_medium += part.size_bytes;
  }
}

SameIds::SameIds(uint64_t seed) { same_ids = new std::mt19937_64(seed); }

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
