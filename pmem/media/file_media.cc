// The media that have a file system.
#include <linux/magic.h>
#include <sys/vfs.h>

#include <cinttypes>

#include "base/error.h"
#include "pmem/media/dax_file.h"
#include "pmem/media/media.h"

namespace morsel::pmem {
namespace {

class FsDaxMedium final : public Medium {
 public:
  const char* name() const override { return "fsdax"; }

  bool Has(const os::File& file, PoolPart) const override { return IsDax(file); }

  bool is_persistent_memory() const override { return true; }

  Survival SurvivalOf(const std::string& path, const std::string&) const override {
    return SurvivalOfPersistentMemory(path);
  }

  // The space of a whole unit is taken first: a file system aligns a large allocation, and places
  // the rest after it.
  Status PrepareNew(const os::File& file, uint64_t whole_bytes) const override {
    MORSEL_TRY(TakeSpace(file, 0, whole_bytes));
    return WriteZeros(file, 0, whole_bytes);
  }

  Status Zero(const os::File& file, uint64_t offset, uint64_t size_bytes, Persist) const override {
    MORSEL_TRY(TakeSpace(file, offset, size_bytes));
    return WriteZeros(file, offset, size_bytes);
  }
};

// What is no persistent memory: page cache, or a file of a file system in memory.
class CachedMedium : public Medium {
 public:
  Status Zero(const os::File& file, uint64_t offset, uint64_t size_bytes, Persist) const override {
    if (!PunchHole(file, offset, size_bytes)) {
      return FailErrno("'%s': %" PRIu64 " bytes at offset %" PRIu64 " cannot be zeroed",
                       file.path().c_str(), size_bytes, offset);
    }
    return TakeSpace(file, offset, size_bytes);
  }

 protected:
  ~CachedMedium() = default;
};

class MemoryMedium final : public CachedMedium {
 public:
  const char* name() const override { return "memory"; }

  bool Has(const os::File& file, PoolPart) const override {
    struct statfs status;
    if (fstatfs(file.descriptor(), &status) != 0) return false;
    switch (static_cast<uint32_t>(status.f_type)) {
      case TMPFS_MAGIC:
      case RAMFS_MAGIC:
      case HUGETLBFS_MAGIC:
        return true;
      default:
        return false;
    }
  }

  Survival SurvivalOf(const std::string&, const std::string&) const override {
    return {false, "outlives the process; all is lost at power-off"};
  }
};

class DiskMedium final : public CachedMedium {
 public:
  const char* name() const override { return "ssd"; }

  bool Has(const os::File&, PoolPart part) const override { return part == PoolPart::kDirectory; }

  Survival SurvivalOf(const std::string&, const std::string& file_system) const override {
    return {true,
            "survives power-off, if " + file_system + " and the disk below keep what was synced"};
  }
};

class StandInMedium final : public CachedMedium {
 public:
  const char* name() const override { return "file"; }

  bool Has(const os::File&, PoolPart) const override { return true; }

  std::string InWords(const std::string& file_system, uint64_t) const override {
    return "a file that stands in for persistent memory (" + file_system + ")";
  }

  Survival SurvivalOf(const std::string&, const std::string&) const override {
    return {false, "outlives the process; it may be lost at power-off"};
  }
};

const FsDaxMedium fs_dax;
const MemoryMedium memory;
const DiskMedium disk;
const StandInMedium stand_in;

}  // namespace

const Medium& kFsDax = fs_dax;
const Medium& kMemory = memory;
const Medium& kDisk = disk;
const Medium& kStandIn = stand_in;

}  // namespace morsel::pmem
