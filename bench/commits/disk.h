// What a program's calls bring to a disk, and what that disk takes for a plain write.
#pragma once

#include <cstdint>
#include <string>

namespace bench {

/// Of this process so far.
struct DiskCounts {
  uint64_t syncs = 0;   ///< fdatasync, fsync, and writes with RWF_DSYNC; not those of RawFile
  uint64_t writes = 0;  ///< system calls that write
  uint64_t written_bytes = 0;  ///< to disks; 0 on tmpfs
};
DiskCounts CountsSoFar();

/// A file that was written once, and is written over past the page cache, where its file system
/// allows that.
class RawFile {
 public:
  RawFile(const std::string& folder, uint64_t size_bytes);
  ~RawFile();
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  /// Writes the next `bytes` of the file over, durably; returns the nanoseconds.
  uint64_t Overwrite(uint64_t bytes);

 private:
  std::string path_;
  uint64_t size_bytes_;
  uint64_t at_ = 0;
  int file_ = -1;
  char* bytes_ = nullptr;
};

/// What PAGEMAP_SCAN takes to go through the memory, and protects nothing; 0 where the kernel has
/// none.
uint64_t ScanNs(const void* memory, uint64_t size_bytes);

/// How much of the process' memory lies on pages of 2 MiB.
uint64_t HugeBytes();

}  // namespace bench
