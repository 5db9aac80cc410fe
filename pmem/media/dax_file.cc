#include "pmem/media/dax_file.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/units.h"

namespace morsel::pmem {
namespace {

long FaultsOfThisThread() {
  rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) != 0) return 0;
  return usage.ru_minflt + usage.ru_majflt;
}

// Faults the page in without a load, which would raise a signal if the medium is bad there.
bool Bring(const char* page) {
  return madvise(const_cast<char*>(page), kPageBytes, MADV_POPULATE_READ) == 0;
}

}  // namespace

bool IsDax(const os::File& file) {
  void* const mapping =
      mmap(nullptr, kPageBytes, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, file.descriptor(), 0);
  if (mapping == MAP_FAILED) return false;
  munmap(mapping, kPageBytes);
  return true;
}

void PreferHugeExtents(const os::File& file) {
  fsxattr attributes = {};
  if (ioctl(file.descriptor(), FS_IOC_FSGETXATTR, &attributes) != 0) return;
  attributes.fsx_xflags |= FS_XFLAG_EXTSIZE;
  attributes.fsx_extsize = kSubtreeBytes;
  (void)ioctl(file.descriptor(), FS_IOC_FSSETXATTR, &attributes);
}

Status WriteZeros(const os::File& file, uint64_t offset, uint64_t size_bytes) {
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  const std::unique_ptr<void, Free> zeros(std::calloc(1, kSubtreeBytes));
  if (zeros == nullptr)
    return Fail(Code::kNoMemory, "no memory for %zu zeros", size_t{kSubtreeBytes});
  for (uint64_t done = 0; done < size_bytes; done += kSubtreeBytes) {
    const size_t piece = std::min<uint64_t>(kSubtreeBytes, size_bytes - done);
    MORSEL_TRY(file.WriteAll(zeros.get(), piece, offset + done));
  }
  return Code::kOk;
}

uint64_t CountMappedHuge(const void* memory, uint64_t subtrees) {
  uint64_t huge = 0;
  for (uint64_t i = 0; i < subtrees; ++i) {
    const char* const subtree = static_cast<const char*>(memory) + i * kSubtreeBytes;
    if (!Bring(subtree)) continue;
    const long before = FaultsOfThisThread();
    // Take the last page: with a small page the kernel also maps those next to it.
    if (Bring(subtree + kSubtreeBytes - kPageBytes)) huge += FaultsOfThisThread() == before;
  }
  return huge;
}

}  // namespace morsel::pmem
