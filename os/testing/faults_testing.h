// For tests: system calls that fail, fall short or are interrupted.
#pragma once

#include <cerrno>
#include <functional>

#include "os/file/system_calls.h"

namespace morsel::os {

/// Counts the calls, and makes those fail that `fault` chooses.
class FaultyCalls : public SystemCalls {
 public:
  /// Returns for the number of a call what happens to it: 0 (nothing), kShort (a read or write of
  /// half the bytes), or the errno that it fails with.
  static constexpr int kShort = -1;
  std::function<int(int call)> fault;
  /// How many calls there were; also the number of the next call.
  int count = 0;

  /// Makes only the call with this number fail, counted from now.
  void FailOnce(int call, int error) {
    count = 0;
    fault = [call, error](int now) { return now == call ? error : 0; };
  }
  /// Makes the call with this number and all later ones fail, as on a full or a broken disk.
  void FailFrom(int call, int error) {
    count = 0;
    fault = [call, error](int now) { return now >= call ? error : 0; };
  }
  void Heal() { fault = nullptr; }

  int OpenAt(int directory, const char* name, int flags, mode_t mode) override {
    return Fails() ? -1 : SystemCalls::OpenAt(directory, name, flags, mode);
  }
  ssize_t PRead(int file, void* bytes, size_t size_bytes, int64_t offset) override {
    if (Fails()) return -1;
    return SystemCalls::PRead(file, bytes, Shortened(size_bytes), offset);
  }
  ssize_t PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset) override {
    if (Fails()) return -1;
    return SystemCalls::PWrite(file, bytes, Shortened(size_bytes), offset);
  }
  int FTruncate(int file, int64_t size_bytes) override {
    return Fails() ? -1 : SystemCalls::FTruncate(file, size_bytes);
  }
  int FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) override {
    return Fails() ? -1 : SystemCalls::FAllocate(file, mode, offset, size_bytes);
  }
  // Syncs are not passed on: the power stays on, and a disk would take its time.
  int FDataSync(int) override { return Fails() ? -1 : 0; }
  int FSync(int) override { return Fails() ? -1 : 0; }
  int RenameAt2(int directory, const char* from, const char* to, unsigned flags) override {
    return Fails() ? -1 : SystemCalls::RenameAt2(directory, from, to, flags);
  }
  int LinkAt(int directory, const char* from, const char* to) override {
    return Fails() ? -1 : SystemCalls::LinkAt(directory, from, to);
  }
  int UnlinkAt(int directory, const char* name, int flags) override {
    return Fails() ? -1 : SystemCalls::UnlinkAt(directory, name, flags);
  }
  int MkDirAt(int directory, const char* name, mode_t mode) override {
    return Fails() ? -1 : SystemCalls::MkDirAt(directory, name, mode);
  }
  int FChMod(int file, mode_t mode) override {
    return Fails() ? -1 : SystemCalls::FChMod(file, mode);
  }

 private:
  bool Fails() {
    const int error = fault ? fault(count) : 0;
    ++count;
    is_short_ = error == kShort;
    if (error <= 0) return false;
    errno = error;
    return true;
  }
  size_t Shortened(size_t size_bytes) const {
    return is_short_ ? (size_bytes + 1) / 2 : size_bytes;
  }

  bool is_short_ = false;
};

}  // namespace morsel::os
