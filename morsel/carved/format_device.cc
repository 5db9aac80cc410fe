#include "morsel/carved/format_device.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "base/error.h"
#include "morsel/carved/carved_pool_medium.h"
#include "morsel/carved/carved_pool_superblock.h"
#include "os/file/file_lock.h"
#include "os/file/file_users.h"
#include "os/file/system_calls.h"
#include "pmem/media/media.h"
#include "pmem/media/path_kind.h"

namespace morsel {
namespace {

constexpr uint64_t kSampleStride = 64 * kMiB;

struct Signature {
  size_t offset;
  const char* bytes;
  size_t size_bytes;
  const char* holds;
};

constexpr Signature kSignatures[] = {
    {0, "XFSB", 4, "an XFS file system"},
    {1080, "\x53\xef", 2, "an ext2, ext3 or ext4 file system"},
    {65600, "_BHRfS_M", 8, "a btrfs file system"},
    {1024, "\x10\x20\xf5\xf2", 4, "an F2FS file system"},
    {4086, "SWAPSPACE2", 10, "swap space"},
    {0, "LUKS\xba\xbe", 6, "a LUKS volume"},
    {536, "LVM2 001", 8, "an LVM volume"},
    {512, "EFI PART", 8, "a partition table"},
    {0, "PMEMOBJ", 7, "a libpmemobj pool"},
    {0, "PMEMBLK", 7, "a libpmemblk pool"},
    {0, "PMEMLOG", 7, "a libpmemlog pool"},
    {0, "PMEMPOOLSET", 11, "a PMDK pool set"},
};

bool IsZero(const char* bytes, size_t size_bytes) {
  return size_bytes == 0 || (*bytes == 0 && std::memcmp(bytes, bytes + 1, size_bytes - 1) == 0);
}

// A device's bytes, mapped for reading.
class Look {
 public:
  static Result<Look> At(const os::File& file, uint64_t size_bytes) {
    const Result<void*> mapping = pmem::MapPart(file, 0, size_bytes, true);
    if (!mapping) return mapping.status();
    return Look(static_cast<char*>(*mapping), size_bytes);
  }
  Look(Look&& other) noexcept : bytes_(other.bytes_), size_bytes_(other.size_bytes_) {
    other.bytes_ = nullptr;
  }
  ~Look() {
    if (bytes_ != nullptr) munmap(bytes_, size_bytes_);
  }

  /// Describes the data that the device holds, or returns "" if none was found.
  std::string Content(uint64_t metadata_bytes) const {
    if (std::string found = SignatureIn(bytes_, std::min(size_bytes_, 128 * kKiB)); !found.empty())
      return found;
    const uint64_t whole = std::min(metadata_bytes, size_bytes_);
    for (uint64_t at = 0; at < size_bytes_; at += at < whole ? kPageBytes : kSampleStride) {
      if (at >= whole) at = AlignUp(at, kSampleStride);
      if (at >= size_bytes_) break;
      if (!IsZero(bytes_ + at, kPageBytes)) return "data at offset " + std::to_string(at);
    }
    return "";
  }

 private:
  Look(char* bytes, uint64_t size_bytes) : bytes_(bytes), size_bytes_(size_bytes) {}

  char* bytes_;
  uint64_t size_bytes_;
};

}  // namespace

std::string SignatureIn(const char* bytes, size_t size_bytes) {
  if (size_bytes >= kSuperblocks * kSuperblockBytes) {
    for (uint64_t number = 0; number < kSuperblocks; ++number) {
      uint64_t magic;
      std::memcpy(&magic, bytes + number * kSuperblockBytes, sizeof magic);
      if (magic == kPoolMagic) return "a morsel pool";
    }
  }
  for (const Signature& one : kSignatures) {
    if (!Within(one.offset, one.size_bytes, size_bytes)) continue;
    if (std::memcmp(bytes + one.offset, one.bytes, one.size_bytes) == 0) return one.holds;
  }
  return "";
}

Status FormatDevice(const std::string& path, DeviceData data, os::SystemCalls& calls) {
  const Result<pmem::PathKind> kind = pmem::KindOfPath(path);
  if (!kind) return kind.status();
  if (*kind != pmem::PathKind::kDeviceDax) {
    return Fail(Code::kInvalidArgument,
                "'%s' is no device-dax device: a pool in a file or a directory is made by "
                "`morselctl create`",
                path.c_str());
  }
  const std::string subject = "device '" + path + "'";
  const Result<os::File> file = os::File::Open(calls, AT_FDCWD, path, O_RDWR, 0, path);
  if (!file) return file.status();
  MORSEL_TRY(os::LockForWriting(*file, subject));
  struct stat status;
  if (fstat(file->descriptor(), &status) != 0) return FailErrno("'%s'", path.c_str());
  if (const std::string user = os::OtherUserOfDevice(status.st_rdev); !user.empty()) {
    return Fail(Code::kBusy, "%s is in use by %s; end that first", subject.c_str(), user.c_str());
  }
  const Result<pmem::MediumSpace> device =
      pmem::MediumOf(*file, pmem::PoolPart::kCarvedPool).SpaceOf(*file);
  if (!device) return device.status();
  const Result<OnHeap<PoolSuperblock>> plan = CarvedMedium::PlanDevice(*device, subject);
  if (!plan) return plan.status();
  if (data == DeviceData::kMustBeAbsent) {
    const Result<Look> look = Look::At(*file, device->size_bytes);
    if (!look) return look.status();
    if (const std::string content = look->Content((*plan)->metadata_bytes); !content.empty()) {
      return Fail(Code::kExists,
                  "%s holds %s; if nobody needs that, --force formats it all the same",
                  subject.c_str(), content.c_str());
    }
  }
  return CarvedMedium::FormatDevice(*file, *plan);
}

}  // namespace morsel
