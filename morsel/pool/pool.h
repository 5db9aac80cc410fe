// What a pool does, whatever it is made of, and what it hands out: the memory
// of one open morsel. Heaps, roots and handles stand on these two classes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "image/format/image_info.h"
#include "image/format/patches.h"
#include "image/format/reading.h"
#include "image/pipeline/progress.h"
#include "os/file/system_calls.h"
#include "os/memory/address_range.h"
#include "pmem/persist/persist.h"

namespace morsel::pmem {
class Directory;
}
namespace morsel::pmem::image {
class ImageFile;
}

namespace morsel {

inline constexpr uint64_t kNameBytesMax = 200;
inline constexpr uint64_t kDefaultCapacityBytes = uint64_t{16} << 30;

using pmem::image::Contract;

/// What a pool knows of a morsel: what its image says, or would say, and who may use it.
struct CatalogRecord : pmem::image::ImageInfo {
  std::string name;
  uint32_t mode = 0600;
  uint32_t user = 0;
  uint32_t group = 0;
};

/// One page behind the capacity belongs to the process that has the morsel open:
/// private memory, never on the medium.
inline constexpr uint64_t kProcessPageBytes = uint64_t{4} << 10;
/// What a morsel takes of the address window: its capacity and the process' page,
/// in whole subtrees.
uint64_t RangeBytes(uint64_t capacity_bytes);

/// Told of each run of a morsel's pages that its medium cannot serve, in a sentence.
using OnSkipped = std::function<void(const std::string& message)>;

/// How a morsel leaves its pool as an image.
struct ExportOptions {
  /// carved: what the medium cannot serve is told, and zero in the image; nullptr: that is an
  /// error.
  const OnSkipped* skipped = nullptr;
  /// By what its leaves are compressed; none given: as the morsel's own image, and carved: not.
  std::optional<pmem::image::Codec> codec = {};
  /// Is told of what is read, and of what is written; empty: as of the morsel, where it is open.
  pmem::image::Progress progress = {};
};

/// The memory of one open morsel, mapped at its base.
/// Ownership  unmapped with the object; nothing on the medium changes by that.
/// Threads    one call at a time.
class Backing {
 public:
  virtual ~Backing() = default;
  Backing(const Backing&) = delete;
  Backing& operator=(const Backing&) = delete;

  const CatalogRecord& record() const { return record_; }
  bool read_only() const { return read_only_; }
  /// The private page at base + capacity; zeroed when opened.
  void* process_page() const { return range_.at(record_.capacity_bytes); }

  /// How bytes in [base, base + size) are made durable.
  virtual pmem::Persist persist() const = 0;
  /// Bytes that one flush makes durable: 1, 64, or 4096 where only checkpoints do.
  virtual uint32_t granularity_bytes() const = 0;

  /// Makes the morsel `size_bytes` long, a multiple of its subtrees, at most its capacity.
  /// What is new is zero. What is beyond must not be in use.
  /// Durability  carved: on return. image: with the next checkpoint.
  /// Errors      kNoSpace, kNoMemory, kIo: the size is as before.
  virtual Status Resize(uint64_t size_bytes) = 0;

  /// image: writes the morsel's memory, as it is, as the next generation, durably.
  /// carved: records `live_bytes` and the next generation, durably.
  /// Errors  kNoSpace, kIo: the last one stands, or this one, whole.
  virtual Status Checkpoint(uint64_t live_bytes) = 0;

  /// Makes the file `file_name` of the directory an image: image: of the last checkpoint; carved:
  /// of the memory as it is, which nobody changes meanwhile. It has the morsel's permission bits.
  /// With `skipped` no signal is raised by what is known, by the kernel, to be bad. By another
  /// codec than its image's it is written of the memory, as generation 1.
  /// Durability  on return; a crash before leaves nothing of that name, or the whole image.
  /// Errors      kExists; kCorrupt; kNoSpace; kPermission; kNoMemory; kIo; kUnsupported: image, and
  ///             `skipped` is not nullptr.
  virtual Status Export(const pmem::Directory& to, const std::string& file_name,
                        const ExportOptions& options) = 0;

 protected:
  Backing(CatalogRecord record, bool read_only)
      : record_(std::move(record)), read_only_(read_only) {}

  CatalogRecord record_;
  bool read_only_;
  pmem::AddressRange range_;  ///< RangeBytes(capacity) long, the process' page placed in it
};

/// Writes the first bytes of a new morsel into its zeroed memory, and flushes and fences them.
/// Until the pool has made the morsel true, nobody believes them.
using Formatter = std::function<void(const CatalogRecord& record, pmem::Persist persist)>;

/// Something wrong that a check found.
struct Finding {
  std::string subject;  ///< e.g. "pool '/data'" or "morsel 'graph'"
  std::string message;  ///< what, where, what to do
  /// kCorrupt or kVersion: damage. kOk: nothing is wrong, and yet worth knowing. Another: it could
  /// not be looked at.
  Code code = Code::kCorrupt;
};

namespace impl {

/// What every pool can do, whatever it is made of. morsel::Pool is the user's handle.
class Pool {
 public:
  virtual ~Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  const std::string& path() const { return path_; }
  bool read_only() const { return read_only_; }
  /// "device-dax", "fsdax", "memory", "ssd" or "file"; for a person to read.
  virtual std::string medium() const = 0;
  /// As Backing's, for morsels of `contract`; kPageBytes where there can be none.
  virtual uint32_t granularity_bytes(Contract contract) const = 0;

  /// Is called while morsels that are created and opened from now on are loaded and stored.
  void set_progress(pmem::image::Progress progress) { progress_ = std::move(progress); }

  /// kUnsupported, with the reason, where this pool cannot serve such a morsel.
  virtual Status Supports(Contract contract, bool giant) const = 0;

  /// Errors  kNotFound, kCorrupt, kVersion, kPermission, kIo.
  virtual Result<CatalogRecord> Find(const std::string& name) = 0;

  /// All morsels that can be read, by name.
  virtual Result<std::vector<CatalogRecord>> List() = 0;

  /// Makes the morsel that `wanted` describes (id and base are chosen here; size and capacity are
  /// set, valid and rounded) and opens it for writing.
  /// Durability  on return; after a crash before, there is nothing of that name.
  /// Errors      kExists, kNoSpace, kAddressExhausted, kNoMemory, kPermission, kIo.
  virtual Result<std::unique_ptr<Backing>> Create(const CatalogRecord& wanted,
                                                  const Formatter& format) = 0;

  /// Errors  as Find(), and kAddressTaken, kNoMemory.
  virtual Result<std::unique_ptr<Backing>> Open(const std::string& name, bool read_only) = 0;

  /// Opens what is intact of a damaged image, for reading. What is damaged is told, each time by
  /// LastError(), and zero.
  /// Errors  as Open(), kCorrupt where nothing of it can be found; kUnsupported: the morsel has no
  ///         image; what `damaged` answers.
  virtual Result<std::unique_ptr<Backing>> OpenIntact(const std::string& name,
                                                      const pmem::image::Damaged& damaged);

  /// As Backing's, of a morsel that is not open. An image is read only, within 64 MiB, and 136
  /// bytes for each 2 MiB it holds.
  /// Errors  as Find() and Open(), besides.
  virtual Status Export(const std::string& name, const pmem::Directory& to,
                        const std::string& file_name, const ExportOptions& options) = 0;

  /// Makes a morsel of an image that is open for reading, with the image's id, base, contract and
  /// sizes, and its file's permission bits. Everything is held against its sums before. It is not
  /// opened.
  /// Durability  on return; after a crash before, there is nothing of that name.
  /// Errors      kExists; kUnsupported: the pool cannot serve such a morsel; kAddressTaken, naming
  ///             who has a part of its range; kCorrupt; kBusy: somebody writes the image;
  ///             kPermission; kNoSpace; kNoMemory; kIo.
  virtual Status Import(const std::string& name, const pmem::image::ImageFile& image) = 0;

  /// Nothing of it is open.
  /// Durability  gone on return.
  virtual Status Remove(const std::string& name) = 0;

  /// In a forked child: closes the pool's descriptors, so that the child does not hold its lock.
  /// Nothing else may be called afterwards. Only close(2) is used.
  virtual void CloseAfterFork() = 0;

  /// Reads all that the pool keeps beside the heaps, and images whole, and reports what is wrong.
  /// Errors  kIo where it cannot be read.
  virtual Status Check(const std::function<void(const Finding&)>& report) = 0;

 protected:
  Pool(std::string path, bool read_only) : path_(std::move(path)), read_only_(read_only) {}

  std::string path_;
  bool read_only_;
  pmem::image::Progress progress_;
};

}  // namespace impl
}  // namespace morsel
