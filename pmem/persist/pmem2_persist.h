// Persistent memory as libpmem2 finds it: how fine its stores become durable,
// and with which functions.
//
// libpmem2 chooses flush and fence by the medium and the processor, not by the
// address, so what it says of the mapped part of a file holds for every other
// mapping of the file.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "os/file/file.h"
#include "pmem/persist/persist.h"

struct pmem2_map;

namespace morsel::pmem {

/// The beginning of a file, mapped by libpmem2.
/// Ownership  unmapped with the object; move-only. A forked child does not have it.
class Pmem2Mapping {
 public:
  Pmem2Mapping() = default;
  Pmem2Mapping(Pmem2Mapping&& other) noexcept;
  Pmem2Mapping& operator=(Pmem2Mapping&& other) noexcept;
  ~Pmem2Mapping();

  /// Maps [0, size_bytes) of `file`, a multiple of the page size that the file has.
  /// Errors  kUnsupported: the file is not on persistent memory; kNoMemory; kPermission; kIo.
  static Result<Pmem2Mapping> Map(const File& file, uint64_t size_bytes, bool read_only);

  char* memory() const { return memory_; }
  uint64_t size_bytes() const { return size_bytes_; }
  /// What one flush makes durable: 1 (eADR: stores alone are enough, once fenced) or 64.
  uint32_t granularity_bytes() const { return granularity_bytes_; }
  /// For this and every other mapping of the file. Good for the life of the process.
  Persist persist() const { return persist_; }

 private:
  pmem2_map* map_ = nullptr;
  char* memory_ = nullptr;
  uint64_t size_bytes_ = 0;
  uint32_t granularity_bytes_ = 0;
  Persist persist_ = VolatilePersist();
};

/// What one flush makes durable in mappings of the file, which is not empty: 1, kLineBytes, or
/// kPageBytes where it is not on persistent memory.
/// Errors  kNoMemory, kPermission, kIo.
Result<uint32_t> GranularityOf(const File& file);

/// Maps [offset, offset + size_bytes) of a file that libpmem2 takes for persistent memory, wherever
/// there is room. MAP_SYNC is asked for; a file that only stands in for persistent memory does
/// without.
/// Ownership  the caller unmaps it, or places it in an AddressRange.
/// Errors     kNoMemory, kPermission, kIo.
Result<void*> MapPart(const File& file, uint64_t offset, uint64_t size_bytes, bool read_only);

}  // namespace morsel::pmem
