// The file or device below a carved pool: its space, its mappings, and what is kept in it
// beside the morsels. Pool and backings stand on it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "morsel/carved/carved_pool_metadata.h"
#include "os/file/file.h"
#include "os/memory/address_range.h"
#include "pmem/media/bad_ranges.h"
#include "pmem/media/dax_device.h"
#include "pmem/persist/pmem2_persist.h"

namespace morsel {

/// Threads  one at a time, who holds `mutex`; persist() and what is const: any.
class CarvedMedium {
 public:
  /// What the file is meant to be.
  enum class As { kPool, kSingleMorsel };

  /// Takes `file`, which is locked: maps its metadata and recovers them.
  /// Errors  kCorrupt, kVersion, kUnsupported, kNoSpace, kNoMemory, kIo; kInvalidArgument: it is a
  ///         pool of many morsels, or one morsel of a directory pool, and not what was meant.
  static Result<std::unique_ptr<CarvedMedium>> Open(pmem::File file, bool read_only,
                                                    const std::string& subject, As as = As::kPool);

  /// Makes `file`, which is empty, a pool of size_bytes.
  /// Durability  of the bytes on return, of the file's size and name by a later sync.
  /// Errors      kInvalidArgument, kUnsupported, kNoSpace, kIo.
  static Status Format(const pmem::File& file, uint64_t size_bytes, const std::string& subject);

  /// As Format(), of what PlanSuperblock() or PlanSingle() said.
  static Status FormatFile(const pmem::File& file, const PoolSuperblock& plan);

  /// The layout of a pool on a device, carved into units that the device can map.
  /// Errors  kInvalidArgument: it is too small, or the address window in the environment cannot be.
  static Result<PoolSuperblock> PlanDevice(const pmem::DaxDevice& device,
                                           const std::string& subject);

  /// Makes the device `file` what PlanDevice() said, whatever it holds.
  /// Durability  on return; after a crash before, it holds no pool, or this one.
  /// Errors      kUnsupported, kNoMemory, kIo.
  static Status FormatDevice(const pmem::File& file, const PoolSuperblock& plan);

  ~CarvedMedium();
  CarvedMedium(const CarvedMedium&) = delete;
  CarvedMedium& operator=(const CarvedMedium&) = delete;

  Mutex mutex{LockRank::kCarvedMedium};

  CarvedMetadata& metadata() { return *metadata_; }
  pmem::Persist persist() const { return mapping_.persist(); }
  uint32_t granularity_bytes() const { return mapping_.granularity_bytes(); }
  /// "device-dax"; "fsdax", or "file" where the file only stands in for persistent memory.
  const char* name() const;
  /// What the kernel knows to be bad of the file or device.
  /// Errors  kIo.
  Result<std::vector<pmem::ByteRange>> BadRanges() const { return pmem::BadRangesOf(file_); }
  /// Only close(2) is used, and nothing is called afterwards but the destructor.
  void CloseAfterFork() { file_.Close(); }

  /// Subtrees for `size_bytes`: claimed, with space of their own, zero. Nothing says yet whose they
  /// are.
  /// held       what holds `mutex`, which others may have while zeros are written; nullptr: they
  /// may
  ///            not.
  /// Ownership  ended by the metadata's Create() or Grow(), or by Return().
  /// Errors     kNoSpace, kCorrupt, kIo: nothing is claimed.
  Result<std::vector<SubtreeIndex>> Grant(alloc::SubtreeRole role, uint64_t size_bytes,
                                          std::unique_lock<Mutex>* held = nullptr);
  void Return(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees);

  /// Gives the space of free subtrees back to the file system. What cannot be given back stays
  /// with the pool, which zeroes it before it is granted again.
  void GiveBack(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees);

  /// Maps `subtrees` at range offset `offset` and on, each run of adjacent ones as one mapping.
  /// label  what a SIGBUS there is said to have met, e.g. "morsel 'graph'".
  /// Errors  kNoMemory, kNoSpace, kIo: the range is as before.
  Status Place(pmem::AddressRange& range, uint64_t offset, alloc::SubtreeRole role,
               const std::vector<SubtreeIndex>& subtrees, bool read_only, const std::string& label);

 private:
  CarvedMedium() = default;
  template <class Visit>
  Status ForEachRun(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees,
                    Visit visit) const;
  static Status FormatMapped(const pmem::File& file, const PoolSuperblock& plan,
                             uint64_t mapped_bytes);
  Status FillWithZeros(uint64_t offset, uint64_t size_bytes) const;
  Status StoreZeros(uint64_t offset, uint64_t size_bytes) const;
  Status FindSparse();
  Status MustFlush() const;

  pmem::File file_;
  std::optional<pmem::DaxDevice> device_;  ///< nothing where it is a regular file
  bool read_only_ = false;
  bool is_dax_ = false;
  bool is_sparse_ = false;  ///< some granted space may have none below it, as in a sparse copy
  pmem::Pmem2Mapping mapping_;
  std::unique_ptr<CarvedMetadata> metadata_;
};

}  // namespace morsel
