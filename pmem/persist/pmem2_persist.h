// Persistent memory by libpmem2: in which units stores become durable, and with which functions.
//
// libpmem2 chooses flush and fence by the medium and the processor, not by the address. So what it
// says of one mapping of a file holds for all other mappings of the file.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "os/file/file.h"
#include "pmem/persist/persist.h"

namespace morsel::pmem {

/// The beginning of a file, mapped by libpmem2.
/// Ownership  unmapped with the object; move-only. A forked child does not have the mapping.
class Pmem2Mapping {
 public:
  Pmem2Mapping() = default;
  Pmem2Mapping(Pmem2Mapping&& other) noexcept;
  Pmem2Mapping& operator=(Pmem2Mapping&& other) noexcept;
  ~Pmem2Mapping();

  /// Maps [0, size_bytes) of `file`.
  /// Units   size_bytes is a multiple of the page size, and not more than the file has.
  /// Errors  kUnsupported: the file is not on persistent memory; kCorrupt: the file is shorter;
  ///         kNoMemory; kPermission; kIo.
  static Result<Pmem2Mapping> Map(const os::File& file, uint64_t size_bytes, bool read_only);

  char* memory() const { return memory_; }
  uint64_t size_bytes() const { return size_bytes_; }
  /// The unit in which stores become durable: 1 (eADR: a fence is enough, without flushes) or 64.
  uint32_t granularity_bytes() const { return granularity_bytes_; }
  /// Flush and fence for this and all other mappings of the file.
  /// Ownership  valid until the process ends, also without this object.
  Persist persist() const { return persist_; }

 private:
  uint64_t number_ = 0;  ///< of all that was mapped by libpmem2; 0: none
  char* memory_ = nullptr;
  uint64_t size_bytes_ = 0;
  uint32_t granularity_bytes_ = 0;
  Persist persist_ = VolatilePersist();
};

/// The unit in which stores to mappings of the file become durable: 1, kLineBytes, or kPageBytes if
/// the file is not on persistent memory. The file must not be empty.
/// Errors  kNoMemory, kPermission, kIo.
Result<uint32_t> GranularityOf(const os::File& file);

/// Maps [offset, offset + size_bytes) of a file on persistent memory, at an address that the kernel
/// chooses. It asks for MAP_SYNC; a file that only stands in for persistent memory is mapped
/// without.
/// Ownership  the caller unmaps the memory, or places it in an AddressRange.
/// Errors     kNoMemory, kPermission, kIo.
Result<void*> MapPart(const os::File& file, uint64_t offset, uint64_t size_bytes, bool read_only);

/// To be called before and after fork(2). The child has nothing mapped through libpmem2: it may map
/// files of its own, wherever the parent's were, and objects of the parent's unmap nothing.
void Pmem2BeforeFork();
void Pmem2AfterFork(bool child);

}  // namespace morsel::pmem
