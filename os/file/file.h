// An open file, read and written whole: what falls short is continued or is an error.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/seam_hook.h"
#include "os/file/system_calls.h"

namespace morsel::pmem {

/// Ownership  the descriptor is closed with the object; move-only.
/// Threads    reads and writes at different offsets: any. The rest: one at a time.
class File {
 public:
  File() = default;
  /// Takes `descriptor`. `path` is what sentences call it.
  File(SystemCalls& calls, int descriptor, std::string path)
      : calls_(&MORSEL_MUTABLE_CALLS(calls)), descriptor_(descriptor), path_(std::move(path)) {}
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  /// open(2) below `directory` (AT_FDCWD: `name` is a path). O_CLOEXEC is added.
  /// Errors  by errno, see FailErrno().
  static Result<File> Open(SystemCalls& calls, int directory, const std::string& name, int flags,
                           mode_t mode, std::string path);

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  const std::string& path() const { return path_; }
  SystemCalls& calls() const { return *calls_; }
  void Close();

  /// fstat(2)'s st_size.
  Result<uint64_t> SizeBytes() const;

  /// Errors  kCorrupt where the file ends before: it was truncated. kIo.
  Status ReadExactly(void* bytes, size_t size_bytes, uint64_t offset) const;

  /// Durability  none before Sync().
  /// Errors      kNoSpace, kIo: any part may have been written.
  Status WriteAll(const void* bytes, size_t size_bytes, uint64_t offset) const;

  /// fdatasync(2). After a failure nothing written since the last success may be
  /// assumed, and syncing again proves nothing.
  Status Sync() const;

  /// ftruncate(2).
  Status Resize(uint64_t size_bytes) const;

 private:
  SystemCalls* calls_ = nullptr;
  int descriptor_ = -1;
  std::string path_;
};

}  // namespace morsel::pmem
