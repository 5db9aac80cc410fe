// Device-dax: it can be mapped in whole units, and neither read nor written, and nobody else uses
// its space.
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>

#include "base/bits.h"
#include "base/size_words.h"
#include "pmem/media/dax_device.h"
#include "pmem/media/media.h"
#include "pmem/persist/pmem2_persist.h"

namespace morsel::pmem {
namespace {

class DeviceMedium final : public Medium {
 public:
  const char* name() const override { return "device-dax"; }

  bool Has(const os::File& file, PoolPart) const override {
    struct stat status;
    return fstat(file.descriptor(), &status) == 0 && S_ISCHR(status.st_mode);
  }

  bool is_persistent_memory() const override { return true; }

  std::string InWords(const std::string&, uint64_t unit_bytes) const override {
    return name() + (", mapped in units of " + FormatSize(unit_bytes)) + " or less";
  }

  std::string FileSystem(const std::string&) const override { return "none"; }

  Survival SurvivalOf(const std::string& path, const std::string&) const override {
    return SurvivalOfPersistentMemory(path);
  }

  Result<MediumSpace> SpaceOf(const os::File& file) const override {
    const Result<DaxDevice> device = DaxDeviceOf(file);
    if (!device) return device.status();
    return MediumSpace{device->size_bytes, device->align_bytes};
  }

  std::string HowToFormat(const std::string& path) const override {
    return "`morselctl format " + path + "` makes it one";
  }

  bool CanBeRead() const override { return false; }

  Status ReadFirst(const os::File& file, void* bytes, size_t size_bytes) const override {
    const Result<MediumSpace> space = SpaceOf(file);
    if (!space) return space.status();
    const uint64_t mapped_bytes = AlignUp(size_bytes, space->align_bytes);
    const Result<void*> mapping = MapPart(file, 0, mapped_bytes, true);
    if (!mapping) return mapping.status();
    std::memcpy(bytes, *mapping, size_bytes);
    munmap(*mapping, mapped_bytes);
    return Code::kOk;
  }

  Status TakeSpace(const os::File&, uint64_t, uint64_t) const override { return Code::kOk; }

  Result<bool> MayHaveHoles(const os::File&, uint64_t) const override { return false; }

  Status Zero(const os::File& file, uint64_t offset, uint64_t size_bytes,
              Persist persist) const override {
    const Result<void*> mapping = MapPart(file, offset, size_bytes, false);
    if (!mapping) return mapping.status();
    StoreZeros(*mapping, size_bytes, persist);
    munmap(*mapping, size_bytes);
    return Code::kOk;
  }

  // StoreZeros() has made them durable.
  Status SyncSpace(const os::File&) const override { return Code::kOk; }

  void GiveBack(const os::File&, uint64_t, uint64_t) const override {}
};

const DeviceMedium device_dax;

}  // namespace

const Medium& kDeviceDax = device_dax;

}  // namespace morsel::pmem
