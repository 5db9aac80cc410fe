// The file or device below a carved pool: it hands out space, makes mappings, and owns the pool's
// metadata. The pool and its backings stand on it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/on_heap.h"
#include "base/result.h"
#include "morsel/carved/carved_pool_metadata.h"
#include "morsel/carved/metadata_copy.h"
#include "os/file/file.h"
#include "os/memory/address_range.h"
#include "pmem/media/bad_ranges.h"
#include "pmem/media/medium.h"
#include "pmem/persist/pmem2_persist.h"

namespace morsel {

/// Threads  the caller of a member that is not const holds `mutex`. persist() and the other const
///          members may be called by any thread.
class CarvedMedium {
 public:
  /// What the caller expects the file to be.
  enum class As { kPool, kSingleMorsel };

  /// Opens the pool in `file`: maps its metadata and recovers them. The caller has
  /// LockForWriting(), unless it is opened for reading: then a copy of the metadata is recovered.
  /// Errors  kCorrupt, kVersion, kUnsupported, kNoSpace, kNoMemory, kIo; kInvalidArgument: the file
  ///         is a pool of many morsels, or a single morsel of a directory pool, and `as` says the
  ///         other.
  static Result<std::unique_ptr<CarvedMedium>> Open(os::File file, bool read_only,
                                                    const std::string& subject, As as = As::kPool);

  /// Makes the empty file `file` a pool of size_bytes.
  /// Durability  the bytes are durable on return; the file's size and name with a later sync.
  /// Errors      kInvalidArgument, kUnsupported, kNoSpace, kIo.
  static Status Format(const os::File& file, uint64_t size_bytes, const std::string& subject);

  /// Does what Format() does, with a plan that PlanSuperblock() or PlanSingle() returned.
  static Status FormatFile(const os::File& file, const PoolSuperblock& plan);

  /// Returns the layout of a pool on a device, carved into units that the device can map.
  /// Errors  kInvalidArgument: the device is too small, or MORSEL_WINDOW is invalid.
  static Result<OnHeap<PoolSuperblock>> PlanDevice(const pmem::MediumSpace& device,
                                                   const std::string& subject);

  /// Makes the device `file` the pool that PlanDevice() planned, whatever it holds now.
  /// Durability  on return; after a crash before that, the device holds the pool that it held
  ///             before (if any), no pool, or this one.
  /// Errors      kUnsupported, kNoMemory, kIo.
  static Status FormatDevice(const os::File& file, const PoolSuperblock& plan);

  ~CarvedMedium();
  CarvedMedium(const CarvedMedium&) = delete;
  CarvedMedium& operator=(const CarvedMedium&) = delete;

  /// Guards metadata() and the claims on subtrees. The caller takes it.
  Mutex mutex{LockRank::kCarvedMedium};

  /// Of a pool that is open for reading: a copy, as it was at the last Refresh().
  CarvedMetadata& metadata() { return copy_ != nullptr ? copy_->metadata() : *metadata_; }
  /// Of a pool that is open for reading: takes a new copy of the metadata if another process has
  /// changed them. References into the last one end.
  /// Errors  as MetadataCopy::Take(): the last copy stays.
  Status Refresh();
  /// As Refresh(), but takes a new copy in any case, for who looks for damage.
  Status ReadAgain();
  /// Checks that what is stored into the mapping is kept, and stays this process' to write: the
  /// file is still open here, with its lock, and has a name. Whoever changes the metadata asks.
  /// Errors  kInvalidArgument: somebody has closed the descriptor. kNotFound: the file was removed.
  Status CheckIsKept() const;
  const os::File& file() const { return file_; }
  const PoolSuperblock& superblock() const { return *superblock_; }
  pmem::Persist persist() const { return mapping_.persist(); }
  uint32_t granularity_bytes() const { return mapping_.granularity_bytes(); }
  const pmem::Medium& medium() const { return medium_; }
  /// Returns the ranges of the file or device that the kernel knows to be bad.
  /// Errors  kIo.
  Result<std::vector<pmem::ByteRange>> BadRanges() const { return pmem::BadRangesOf(file_); }
  /// In a forked child: closes the descriptor, with close(2) only. Nothing but the destructor may
  /// be called after it.
  void CloseAfterFork() { file_.Close(); }

  /// Claims subtrees for `size_bytes`, takes space for them and fills them with zeros. The metadata
  /// do not say yet who owns them.
  /// held       the lock on `mutex`: it is released while zeros are written, so that others may go
  ///            on. With nullptr the mutex stays locked.
  /// Ownership  the caller ends the claim with the metadata's Create() or Grow(), or with Return().
  /// Errors     kNoSpace, kCorrupt, kIo; as CheckIsKept(): nothing is claimed.
  Result<std::vector<SubtreeIndex>> Grant(alloc::SubtreeRole role, uint64_t size_bytes,
                                          std::unique_lock<Mutex>* held = nullptr);
  /// Ends a claim of Grant(): the subtrees are free again.
  void Return(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees);

  /// Gives the space of free subtrees back to the file system. Space that cannot be given back
  /// stays with the pool, which fills it with zeros before it grants it again.
  void GiveBack(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees);

  /// Maps `subtrees` into the range, from `offset` on. Adjacent subtrees share one mapping.
  /// label   whose memory it is, for the message of a SIGBUS, e.g. "morsel 'graph'".
  /// Errors  kNoMemory, kNoSpace, kIo: the range is unchanged.
  Status Place(os::AddressRange& range, uint64_t offset, alloc::SubtreeRole role,
               const std::vector<SubtreeIndex>& subtrees, bool read_only, const std::string& label);

 private:
  explicit CarvedMedium(const pmem::Medium& medium) : medium_(medium) {}
  template <class Visit>
  Status ForEachRun(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees,
                    Visit visit) const;
  static Status FormatMapped(const os::File& file, const PoolSuperblock& plan,
                             uint64_t mapped_bytes);
  const char* MappedToRead() const;
  Status FindSparse();
  Status MustFlush() const;
  bool IsNamed() const;

  const pmem::Medium& medium_;
  os::File file_;
  bool was_named_ = false;  ///< when it was opened: some files never have a name
  bool read_only_ = false;
  bool is_sparse_ = false;  ///< some subtrees may lie in a hole of the file, as in a sparse copy
  pmem::Pmem2Mapping mapping_;
  std::string subject_;
  OnHeap<PoolSuperblock> superblock_;
  std::unique_ptr<CarvedMetadata> metadata_;  ///< open for writing: on the medium
  std::unique_ptr<MetadataCopy> copy_;        ///< open for reading
};

}  // namespace morsel
