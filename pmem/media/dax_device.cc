#include "pmem/media/dax_device.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cinttypes>
#include <cstdio>

#include "base/bits.h"
#include "base/descriptor_floor.h"
#include "base/error.h"
#include "base/units.h"

namespace morsel::pmem {
namespace {

Result<uint64_t> NumberIn(const std::string& path) {
  const DescriptorFloor floor;
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return FailErrno("'%s' cannot be read", path.c_str());
  uint64_t number = 0;
  const int read = std::fscanf(file, "%" SCNu64, &number);
  std::fclose(file);
  if (read == 1) return number;
  return Fail(Code::kUnsupported, "'%s' has no number in it", path.c_str());
}

}  // namespace

Result<DaxDevice> DaxDeviceOf(const os::File& file, const std::string& sys_dev_char) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return FailErrno("'%s'", file.path().c_str());
  const std::string folder = sys_dev_char + "/" + std::to_string(major(status.st_rdev)) + ":" +
                             std::to_string(minor(status.st_rdev));
  const Result<uint64_t> size_bytes = NumberIn(folder + "/size");
  if (!size_bytes) return size_bytes.status();
  const Result<uint64_t> align_bytes = NumberIn(folder + "/align");
  if (!align_bytes) return align_bytes.status();
  const uint64_t align = *align_bytes;
  if (align < kPageBytes || align > kGiantBytes || (align & (align - 1)) != 0) {
    return Fail(Code::kUnsupported,
                "'%s' has an alignment of %" PRIu64
                " bytes, and pools are for 4 KiB to 1 GiB; make the namespace anew (`ndctl "
                "create-namespace --mode=devdax --align=2M`)",
                file.path().c_str(), align);
  }
  return DaxDevice{AlignDown(*size_bytes, align), align};
}

void StoreZeros(void* memory, uint64_t size_bytes, Persist persist) {
  persist.Zero(memory, size_bytes);
  // ORDER  the zeros  <  whatever says who owns the memory
  // WHY    new memory is promised to be zero, also after a crash.
  // CRASH  before: the memory is free. After: it is zero, whoever owns it.
  // TEST   pmem/media/dax_device_test: ZerosAreDurable  <- fails without the line
  persist.Fence();
}

}  // namespace morsel::pmem
