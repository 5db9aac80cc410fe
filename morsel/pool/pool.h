// The two interfaces that heaps, roots and handles stand on: impl::Pool, what every kind of pool
// does, and Backing, the memory of one open morsel.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alloc/heap/supply/heap_frames.h"
#include "base/descriptor.h"
#include "base/random.h"
#include "base/result.h"
#include "image/format/image_info.h"
#include "image/format/reading.h"
#include "image/pipeline/progress.h"
#include "os/file/system_calls.h"
#include "os/memory/address_range.h"
#include "pmem/media/medium.h"
#include "pmem/persist/persist.h"

namespace morsel::os {
class Directory;
}
namespace morsel::image {
class ImageFile;
}

namespace morsel {

inline constexpr uint64_t kNameBytesMax = 200;

/// Whether what a medium holds can have the name: it leads to nothing else than an entry of the
/// pool. CheckMorselName() asks more of the names that morsels are given.
bool IsPossibleName(const std::string& name);
inline constexpr uint64_t kDefaultCapacityBytes = uint64_t{16} << 30;
/// The same where little of the window is free.
inline constexpr uint64_t kDefaultCapacityMinBytes = uint64_t{64} << 20;

using image::Contract;

/// What a pool knows of a morsel: the facts that its image holds (or would hold, if it had one),
/// its name, and who may use it.
struct CatalogRecord : image::ImageInfo {
  std::string name;
  uint32_t mode = 0600;
  uint32_t user = 0;
  uint32_t group = 0;
  std::string acl{};  ///< of the morsel's file, as os::FileRights has it
};

/// The page after the capacity is private memory of the process that has the morsel open. It is
/// never on the medium.
inline constexpr uint64_t kProcessPageBytes = uint64_t{4} << 10;
/// Returns how much of the address window a morsel takes: its capacity and the process' page,
/// rounded up to whole subtrees.
uint64_t RangeBytes(uint64_t capacity_bytes);

/// Called with a message for each range of a morsel's pages that its medium cannot read.
using OnSkipped = std::function<void(const std::string& message)>;

/// How a morsel is exported from its pool as an image.
struct ExportRequest {
  /// For fine morsels: called for each range that the medium cannot read, which is zero in the
  /// image. If it is empty, such a range is an error.
  OnSkipped skipped = {};
  /// How the leaves are compressed. Without a value: as in the morsel's own image; those of a fine
  /// morsel, which has none, are not compressed.
  std::optional<image::Codec> codec = {};
  /// Of an open snapshot morsel: its memory is written and not what its file holds, which may have
  /// been cut, written over or removed. The heap has so many live bytes.
  std::optional<uint64_t> live_bytes_in_memory = {};
  /// Called while the export reads and writes. If it is empty, an open morsel's own callback is
  /// used.
  image::Progress progress = {};
};

/// The memory of one open morsel, mapped at its base.
///
/// Ownership  the destructor unmaps the memory. It changes nothing on the medium.
/// Threads    one call at a time.
class Backing {
 public:
  virtual ~Backing() = default;
  Backing(const Backing&) = delete;
  Backing& operator=(const Backing&) = delete;

  const CatalogRecord& record() const { return record_; }
  bool read_only() const { return read_only_; }
  /// The private page at base + capacity. It is zero when the morsel is opened.
  void* process_page() const { return range_.at(record_.capacity_bytes); }

  /// The functions that make bytes in [base, base + size) durable. Those of a snapshot morsel do
  /// nothing: only checkpoints make it durable.
  virtual pmem::Persist persist() const = 0;
  /// What the heap may ask of the memory if it is frames; nullptr: it is a medium.
  /// Ownership  the backing's.
  virtual alloc::HeapFrames* frames_of_heap() { return nullptr; }
  /// The unit that becomes durable at once: 1 or 64 bytes, or 4096 if only checkpoints make memory
  /// durable.
  virtual uint32_t granularity_bytes() const = 0;

  /// Keeps `what` as long as the backing lives.
  void Hold(std::shared_ptr<void> what) { held_ = std::move(what); }

  /// Makes the morsel `size_bytes` long, which is a multiple of its subtrees and at most its
  /// capacity. New memory is zero. Memory that is cut off must not be in use.
  /// Durability  fine: on return. snapshot: with the next checkpoint.
  /// Errors      kNoSpace, kNoMemory, kIo: the size is unchanged.
  virtual Status Resize(uint64_t size_bytes) = 0;

  using Copied = std::function<void()>;
  /// snapshot: writes the morsel's memory durably, as its next generation. `copied` may be called
  /// once: then nothing of the memory is read any more, and it may change while the rest is done,
  /// by Resize() and frames_of_heap() of other threads, too. The record is as before.
  /// fine: records `live_bytes` and the next generation durably.
  /// Errors  kNoSpace, kIo: the medium holds the previous generation or this one, either one whole.
  virtual Status Checkpoint(uint64_t live_bytes, const Copied& copied) = 0;
  /// Takes what the last checkpoint, which succeeded, has changed into record(), which nobody reads
  /// meanwhile.
  virtual void TakeCheckpoint() {}
  /// Does both, for a caller beside whom nobody uses the morsel.
  Status Checkpoint(uint64_t live_bytes) {
    const Status status = Checkpoint(live_bytes, [] {});
    if (status.ok()) TakeCheckpoint();
    return status;
  }

  /// snapshot: puts what checkpoints have left in the image's log into its place, as the morsel is
  /// about to be closed. Its memory has not changed since the last checkpoint.
  /// Errors  as Checkpoint(): the last checkpoint stands.
  virtual Status Settle() { return Code::kOk; }

  /// Writes an image of the morsel as the file `file_name` of the directory `to`, with the morsel's
  /// permission bits. The image of a snapshot morsel is that of its last checkpoint; that of a fine
  /// morsel is its memory, which nobody may change meanwhile. If a snapshot morsel is exported with
  /// another codec than its own, or its file is not what it was, the image is written from the
  /// memory and begins at generation 1.
  /// With `skipped`, memory that the kernel knows to be bad is not touched, so that it raises no
  /// signal.
  /// Durability  on return. After a crash before that, there is nothing of that name, or the whole
  ///             image.
  /// Errors      kExists; kCorrupt; kNoSpace; kPermission; kNoMemory; kIo; kUnsupported: a snapshot
  ///             morsel, and there is `skipped`.
  virtual Status Export(const os::Directory& to, const std::string& file_name,
                        const ExportRequest& options) = 0;

 protected:
  Backing(CatalogRecord record, bool read_only)
      : record_(std::move(record)), read_only_(read_only) {}

  CatalogRecord record_;
  bool read_only_;
  std::shared_ptr<void> held_;
  os::AddressRange range_;  ///< RangeBytes(capacity) long, with the process' page in it
};

/// Writes the first bytes of a new morsel into its zeroed memory, and flushes and fences them.
/// The pool publishes the morsel afterwards; before that nobody reads these bytes.
using Formatter = std::function<void(const CatalogRecord& record, pmem::Persist persist)>;

/// The bytes of a morsel that is not open, for who makes another one of them.
class MorselBytes {
 public:
  explicit MorselBytes(CatalogRecord record) : record_(std::move(record)) {}
  virtual ~MorselBytes() = default;
  MorselBytes(const MorselBytes&) = delete;
  MorselBytes& operator=(const MorselBytes&) = delete;

  const CatalogRecord& record() const { return record_; }
  /// How much of the memory Load() fills at most.
  virtual uint64_t BytesMax() const = 0;
  /// Fills `memory`, which is record().size_bytes of zeroes.
  /// Errors  kCorrupt; kOvertaken: somebody wrote them meanwhile; kIo; kNoMemory.
  virtual Status Load(char* memory) = 0;

 private:
  CatalogRecord record_;
};

/// A morsel that is made whole, of bytes that are there already.
struct MakingWhole {
  CatalogRecord record;  ///< what it is to be; its base may be 0, and is the pool's to choose then
  uint64_t moved_from = 0;  ///< as for BasesFor()
  bool replaces = false;    ///< it takes the place of the morsel that has its name
  /// With `replaces`: MorselBytes of the morsel that is replaced keep everybody else from writing
  /// it.
  bool is_kept = false;
  /// Fills `memory`, which is record.size_bytes of zeroes and lies at any address. `made` is the
  /// record with its base.
  std::function<Status(char* memory, const CatalogRecord& made)> fill{};
  uint64_t filled_bytes = 0;   ///< how much of the memory `fill` touches, about
  image::Progress progress{};  ///< called while it is stored
};

/// Something wrong that a check found.
struct Finding {
  std::string subject;  ///< e.g. "pool '/data'" or "morsel 'graph'"
  std::string message;  ///< what is wrong, where, and what to do
  /// kCorrupt, kVersion or kIo: the subject is damaged. kOk: nothing is wrong, but the message is
  /// worth knowing. Any other: the subject could not be checked.
  Code code = Code::kCorrupt;
};

/// What a pool knows of itself.
struct PoolFacts {
  bool is_carved = false;
  Id id{};
  uint64_t window_begin = 0;  ///< new morsels get the addresses [window_begin, window_end)
  uint64_t window_end = 0;
  uint64_t unit_bytes = 0;  ///< the unit that a carved pool is carved into; 0: it is a directory
  uint64_t size_bytes = 0;  ///< the space for morsels; for a directory, that of the file system
  uint64_t free_bytes = 0;
  /// Directory pools only, in words: the frames that a morsel gets if it is opened now, and how its
  /// checkpoints find the pages that were written, or why they cannot.
  std::string frames;
  std::string tracking;
};

namespace impl {

/// What every kind of pool does. (The user's handle is morsel::Pool in morsel.hpp.)
///
/// Ownership  a pool must outlive the backings that it returns.
/// Threads    any number of calls at once, as long as no two are for one name. Calls that only look
///            (Find(), List(), Facts(), ...) may come at any time.
class Pool {
 public:
  virtual ~Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  const std::string& path() const { return path_; }
  bool read_only() const { return read_only_; }
  /// Which directory or file the pool is, by whatever path it was found.
  virtual FileIdentity place() const = 0;
  /// What the pool is stored on.
  virtual const pmem::Medium& medium() const = 0;
  /// Backing::granularity_bytes() of morsels under `contract`, or kPageBytes if the pool cannot
  /// have any.
  virtual uint32_t granularity_bytes(Contract contract) const = 0;

  /// Checks that this pool can hold such a morsel.
  /// Errors  kUnsupported; the message has the reason.
  virtual Status Supports(Contract contract, bool giant) const = 0;

  /// Returns what the pool knows of the morsel `name`.
  /// Errors  kNotFound, kCorrupt, kVersion, kPermission, kIo.
  virtual Result<CatalogRecord> Find(const std::string& name) = 0;

  /// Returns all morsels that can be read, sorted by name.
  virtual Result<std::vector<CatalogRecord>> List() = 0;

  /// Returns the names, sorted, of what may be morsels and List() passes over.
  virtual Result<std::vector<std::string>> ListUnreadable() { return std::vector<std::string>(); }

  /// Errors  kIo, kCorrupt, kPermission.
  virtual Result<PoolFacts> Facts() = 0;

  /// The capacity of a new morsel for which nobody has asked for one.
  virtual uint64_t DefaultCapacityBytes() { return kDefaultCapacityBytes; }

  /// Checks that no other pool of this host has the addresses of `record`, as far as the host's
  /// registry knows.
  /// Errors  kAddressTaken; the message names the pool.
  virtual Status CheckNotAnothers(const CatalogRecord& record) = 0;

  /// Makes the morsel that `wanted` describes and opens it for writing. The pool chooses id and
  /// base; size and capacity are set, valid and rounded. `progress` is called while the morsel is
  /// stored, now and later.
  /// Durability  on return; after a crash before that, there is nothing of that name.
  /// Errors      kExists, kNoSpace, kAddressExhausted, kNoMemory, kPermission, kIo.
  virtual Result<std::unique_ptr<Backing>> Create(const CatalogRecord& wanted,
                                                  const Formatter& format,
                                                  const image::Progress& progress = {}) = 0;

  /// Opens the morsel `name` at its address. `progress` is called while it is loaded and stored,
  /// now and later.
  /// Errors  as Find(); kAddressTaken; kNoMemory; kBusy: another writes it, and so wants this call;
  ///         or it is only read, and written faster than it can be.
  virtual Result<std::unique_ptr<Backing>> Open(const std::string& name, bool read_only,
                                                const image::Progress& progress = {}) = 0;

  /// As Open() for reading, but what a mapping of a file can show is not loaded, where that is
  /// possible: see MORSEL_LAZY.
  virtual Result<std::unique_ptr<Backing>> OpenLazily(const std::string& name,
                                                      const image::Progress& progress) {
    return Open(name, /*read_only=*/true, progress);
  }

  /// Opens a snapshot morsel whose image is damaged, for reading. `damaged` is called for each
  /// damaged part, with the message in LastError(); the part is zero in memory.
  /// Errors  as Open(), where kCorrupt means that nothing in the image can be found; kUnsupported:
  ///         the morsel has no image; any error that `damaged` returns.
  virtual Result<std::unique_ptr<Backing>> OpenIntact(const std::string& name,
                                                      const image::Damaged& damaged,
                                                      const image::Progress& progress);

  /// Does what Backing::Export() does, for a morsel that is not open. A snapshot morsel is not
  /// mapped: the export reads its image, with 64 MiB of memory and 136 bytes for each 2 MiB that
  /// the image holds.
  /// Errors  as Backing::Export(), Find() and Open().
  virtual Status Export(const std::string& name, const os::Directory& to,
                        const std::string& file_name, const ExportRequest& options) = 0;

  /// Makes a morsel of an image that is open for reading. The morsel has the image's id, base,
  /// contract and sizes, and the permission bits of its file. All bytes are verified against their
  /// checksums first. The morsel is not opened.
  /// replaces    the morsel that has the name, if there is one, gives way to it.
  /// Durability  on return; after a crash before that, what was there of that name is there.
  /// Errors      kExists; kUnsupported: the pool cannot serve such a morsel; kAddressTaken: the
  ///             message names the morsel that has a part of its range; kCorrupt;
  ///             kOvertaken: somebody has written the image; kPermission; kNoSpace; kNoMemory; kIo.
  virtual Status Import(const std::string& name, const image::ImageFile& image, bool replaces) = 0;

  /// Returns the bytes of the morsel `name`, which is not open in this process. With `keep` nobody
  /// else may write, remove or rename it as long as they are there.
  /// Errors  as Open(); kOvertaken: another process has written it meanwhile; with `keep` as
  ///         Remove().
  virtual Result<std::unique_ptr<MorselBytes>> BytesOf(const std::string& name, bool keep) = 0;

  /// Makes a morsel whose bytes are there before it has a name. It is not opened.
  /// Durability  on return. After a crash before that, there is nothing of that name, or, with
  ///             `replaces`, the morsel that was there.
  /// Errors      as Import() and Create(), and those of `fill`: nothing has changed. With
  ///             `replaces` kBusy: another process writes the one that is there; kPermission: it is
  ///             another user's; kIo: either of the two has the name.
  virtual Status MakeWhole(const MakingWhole& making) = 0;

  /// Removes the morsel `name`, which must not be open in this process.
  /// Durability  it is gone on return.
  /// Errors      kBusy: another process writes it; kNotFound, kCorrupt, kPermission, kIo.
  virtual Status Remove(const std::string& name) = 0;

  /// Gives the morsel `name`, which is not open in this process, the name `to`.
  /// Durability  on return; after a crash before that, it has one of the two names.
  /// Errors      as Remove(), and kExists: the pool has `to`.
  virtual Status Rename(const std::string& name, const std::string& to) = 0;

  /// Checks that no other process has the morsel `name`, or the pool that it is carved out of, open
  /// for writing.
  /// Errors  kBusy: the message names the process; kNotFound, kPermission, kIo.
  virtual Status CheckNotWritten(const std::string& name) = 0;

  /// Checks that what was changed by this object, without an error, is there for the next one.
  /// Errors  kNotFound: the pool's file was removed while it was open. kInvalidArgument: somebody
  ///         has closed a descriptor of the pool, so that others may write it, too.
  virtual Status CheckIsKept() const { return Code::kOk; }

  /// In a forked child: closes the pool's descriptors, so that the child does not hold the pool's
  /// lock. It calls nothing but close(2), and nothing of the pool may be called after it.
  virtual void CloseAfterFork() = 0;

  /// Reads all that the pool keeps beside the heaps, and each image whole, and reports what is
  /// wrong.
  /// Errors  kIo: the pool cannot be read.
  virtual Status Check(const std::function<void(const Finding&)>& report) = 0;

 protected:
  Pool(std::string path, bool read_only) : path_(std::move(path)), read_only_(read_only) {}

  std::string path_;
  bool read_only_;
};

}  // namespace impl
}  // namespace morsel
