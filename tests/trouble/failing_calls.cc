#include "tests/trouble/failing_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

namespace morsel::trouble {
namespace {

std::atomic<Fails> failing = Fails::kNone;
std::atomic<int> with = 0;

bool Fail(Fails kind) {
  if (failing != kind) return false;
  errno = with;
  return true;
}

}  // namespace

FailingCalls::FailingCalls(Fails kind, int error) {
  with = error;
  failing = kind;
}

FailingCalls::~FailingCalls() { failing = Fails::kNone; }

}  // namespace morsel::trouble

// In place of the C library's.
extern "C" {

using morsel::trouble::Fail;
using morsel::trouble::Fails;

int openat(int directory, const char* name, int flags, ...) {
  if (Fail(Fails::kOpen)) return -1;
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return static_cast<int>(syscall(SYS_openat, directory, name, flags, mode));
}
FILE* fopen(const char* path, const char* mode) {
  if (Fail(Fails::kStream)) return nullptr;
  using Open = FILE* (*)(const char*, const char*);
  static const auto open = reinterpret_cast<Open>(dlsym(RTLD_NEXT, "fopen"));
  return open(path, mode);
}
ssize_t pread(int file, void* bytes, size_t size, off_t offset) {
  return Fail(Fails::kRead) ? -1 : syscall(SYS_pread64, file, bytes, size, offset);
}
ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
  return Fail(Fails::kWrite) ? -1 : syscall(SYS_pwrite64, file, bytes, size, offset);
}
int ftruncate(int file, off_t size) noexcept {
  return Fail(Fails::kTruncate) ? -1 : static_cast<int>(syscall(SYS_ftruncate, file, size));
}
int fdatasync(int file) {
  return Fail(Fails::kDataSync) ? -1 : static_cast<int>(syscall(SYS_fdatasync, file));
}
int fsync(int file) { return Fail(Fails::kSync) ? -1 : static_cast<int>(syscall(SYS_fsync, file)); }
int renameat2(int from, const char* name, int to, const char* new_name, unsigned flags) noexcept {
  if (Fail(Fails::kName)) return -1;
  return static_cast<int>(syscall(SYS_renameat2, from, name, to, new_name, flags));
}
int unlinkat(int directory, const char* name, int flags) noexcept {
  if (Fail(Fails::kName)) return -1;
  return static_cast<int>(syscall(SYS_unlinkat, directory, name, flags));
}
}
