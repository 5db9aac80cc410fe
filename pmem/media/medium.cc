#include "pmem/media/medium.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include <cerrno>
#include <cinttypes>

#include "base/error.h"
#include "base/units.h"
#include "pmem/media/file_system.h"
#include "pmem/media/power_safety.h"

namespace morsel::pmem {
namespace {

// Whether it was done; if not, errno says why.
bool FAllocateWhole(const os::File& file, int mode, uint64_t offset, uint64_t size_bytes) {
  int failed = 0;
  do {
    failed = file.calls().FAllocate(file.descriptor(), mode, static_cast<int64_t>(offset),
                                    static_cast<int64_t>(size_bytes));
  } while (failed != 0 && errno == EINTR);
  return failed == 0;
}

}  // namespace

std::string Medium::InWords(const std::string& file_system, uint64_t) const {
  return std::string(name()) + " (" + file_system + ")";
}

std::string Medium::FileSystem(const std::string& path) const { return FileSystemOf(path); }

Result<MediumSpace> Medium::SpaceOf(const os::File& file) const {
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  return MediumSpace{*size_bytes, kPageBytes};
}

std::string Medium::HowToFormat(const std::string&) const { return ""; }

Status Medium::ReadFirst(const os::File& file, void* bytes, size_t size_bytes) const {
  return file.ReadExactly(bytes, size_bytes, 0);
}

Status Medium::TakeSpace(const os::File& file, uint64_t offset, uint64_t size_bytes) const {
  if (FAllocateWhole(file, FALLOC_FL_KEEP_SIZE, offset, size_bytes)) return Code::kOk;
  return FailErrno("'%s': %" PRIu64 " bytes at offset %" PRIu64
                   " cannot be reserved on its file system",
                   file.path().c_str(), size_bytes, offset);
}

Result<bool> Medium::MayHaveHoles(const os::File& file, uint64_t size_bytes) const {
  const Result<uint64_t> allocated_bytes = file.AllocatedBytes();
  if (!allocated_bytes) return allocated_bytes.status();
  return *allocated_bytes < size_bytes;
}

Status Medium::PrepareNew(const os::File&, uint64_t) const { return Code::kOk; }

Status Medium::SyncSpace(const os::File& file) const { return file.Sync(); }

void Medium::GiveBack(const os::File& file, uint64_t offset, uint64_t size_bytes) const {
  (void)PunchHole(file, offset, size_bytes);
}

bool Medium::PunchHole(const os::File& file, uint64_t offset, uint64_t size_bytes) {
  return FAllocateWhole(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size_bytes);
}

Survival Medium::SurvivalOfPersistentMemory(const std::string& path) {
  const PowerSafety safety = PowerSafetyOf(path);
  return {safety.survives, (safety.survives ? "survives power-off: " : "outlives the process: ") +
                               std::string(safety.words)};
}

}  // namespace morsel::pmem
