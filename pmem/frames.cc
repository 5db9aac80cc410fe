#include "pmem/frames.h"

#include <sys/mman.h>

#include <cinttypes>

#include "base/error.h"
#include "base/units.h"

namespace morsel::pmem {
namespace {

Status PlaceAnonymous(AddressRange& range, uint64_t offset, uint64_t size_bytes, bool huge) {
  void* const memory =
      mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return FailErrno("no %" PRIu64 " bytes of memory for the address range at 0x%" PRIx64,
                     size_bytes, range.base() + offset);
  }
  // A wish: a kernel without huge pages serves small ones.
  if (huge) (void)madvise(memory, size_bytes, MADV_HUGEPAGE);
  const Status status = range.Place(memory, offset, size_bytes);
  if (!status.ok()) munmap(memory, size_bytes);
  return status;
}

}  // namespace

Status PlaceFrames(AddressRange& range, uint64_t offset, uint64_t size_bytes) {
  if (size_bytes == 0) return Code::kOk;
  return PlaceAnonymous(range, offset, size_bytes, true);
}

Status ProtectFrames(const AddressRange& range, uint64_t offset, uint64_t size_bytes) {
  if (size_bytes == 0 || mprotect(range.at(offset), size_bytes, PROT_READ) == 0) return Code::kOk;
  return FailErrno("the memory at 0x%" PRIx64 " cannot be made read-only", range.base() + offset);
}

Status PlaceProcessPage(AddressRange& range, uint64_t offset) {
  return PlaceAnonymous(range, offset, kPageBytes, false);
}

}  // namespace morsel::pmem
