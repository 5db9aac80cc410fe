// A pool that is a directory. Each morsel is a file in it: the file of a snapshot morsel is its
// image, that of a fine morsel, on a DAX file system, is its memory.
//
// The file system keeps names, permissions and space. Other files in the directory are left alone.
// A copy of a morsel's file opens under its new name.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "image/image_file.h"
#include "morsel/carved/fine_file.h"
#include "morsel/directory/address_lock.h"
#include "morsel/directory/pool_file.h"
#include "morsel/pool/pool.h"
#include "morsel/registry/pool_addresses.h"
#include "os/file/directory.h"

namespace morsel {

struct DirectoryPoolOptions {
  bool create = false;     ///< if there is no pool, make one, and its directory (not its parents)
  bool exclusive = false;  ///< with create: kExists if there is a pool
  bool read_only = false;  ///< nothing is created, even with create
  uint32_t mode = 0;       ///< the permissions of a directory that is made; 0 means 0700
};

/// Any number of processes may have the pool open, for writing, too. Each morsel has one writer,
/// and readers lock nothing (docs/decisions/0014-who-locks-what.md).
class DirectoryPool final : public impl::Pool {
 public:
  /// Opens the pool in the directory `path`. An open for writing removes what crashes left of
  /// morsels that were being created.
  /// Durability  a pool that is made is durable on return.
  /// Errors      kNotFound; kExists; kCorrupt; kVersion; kPermission; kNoSpace; kIo;
  ///             kInvalidArgument (MORSEL_WINDOW).
  static Result<std::unique_ptr<impl::Pool>> Open(const std::string& path,
                                                  const DirectoryPoolOptions& options,
                                                  os::SystemCalls& calls);

  FileIdentity place() const override { return directory_.identity(); }
  const pmem::Medium& medium() const override;
  uint32_t granularity_bytes(Contract contract) const override;
  Status Supports(Contract contract, bool giant) const override;
  Result<CatalogRecord> Find(const std::string& name) override;
  Result<std::vector<CatalogRecord>> List() override;
  Result<std::vector<std::string>> ListUnreadable() override;
  Result<PoolFacts> Facts() override;
  uint64_t DefaultCapacityBytes() override { return addresses_.DefaultCapacityBytes(); }
  Status CheckNotAnothers(const CatalogRecord& record) override {
    return addresses_.CheckNotAnothers(record);
  }
  Result<std::unique_ptr<Backing>> Create(const CatalogRecord& wanted, const Formatter& format,
                                          const image::Progress& progress) override;
  Result<std::unique_ptr<Backing>> Open(const std::string& name, bool read_only,
                                        const image::Progress& progress) override;
  Result<std::unique_ptr<Backing>> OpenLazily(const std::string& name,
                                              const image::Progress& progress) override;
  Result<std::unique_ptr<Backing>> OpenIntact(const std::string& name,
                                              const image::Damaged& damaged,
                                              const image::Progress& progress) override;
  Status Export(const std::string& name, const os::Directory& to, const std::string& file_name,
                const ExportRequest& options) override;
  Status Import(const std::string& name, const image::ImageFile& image, bool replaces) override;
  Result<std::unique_ptr<MorselBytes>> BytesOf(const std::string& name, bool keep) override;
  Status MakeWhole(const MakingWhole& making) override;
  Status Remove(const std::string& name) override;
  Status Rename(const std::string& name, const std::string& to) override;
  Status CheckNotWritten(const std::string& name) override;
  Status Check(const std::function<void(const Finding&)>& report) override;
  void CloseAfterFork() override { directory_.Close(); }

 private:
  DirectoryPool(std::string path, bool read_only, os::Directory directory, PoolFile pool_file)
      : impl::Pool(std::move(path), read_only),
        directory_(std::move(directory)),
        pool_file_(pool_file) {}

  /// new_mode  the mode of the directory, if Open() has just made it, else 0.
  static Result<std::unique_ptr<impl::Pool>> OpenDirectory(const std::string& path,
                                                           const DirectoryPoolOptions& options,
                                                           mode_t new_mode, os::SystemCalls& calls);
  /// E.g. "morsel 'graph' of pool '/data'".
  std::string LabelOf(const std::string& name) const;
  Result<os::File> OpenFile(const std::string& name, int flags) const;
  /// What the file says of its morsel, which the pool calls `name`.
  static Result<CatalogRecord> RecordIn(const os::File& file, const std::string& name);
  /// Says of a file that is not found that it is no morsel.
  Result<os::File> NamedError(Result<os::File> file, const std::string& name) const;
  Result<uint32_t> FineGranularity() const;
  struct Names {
    std::vector<std::string> images;
    std::vector<std::string> direct;  ///< files of fine morsels
    std::vector<std::string> empty;   ///< files without a byte, which no crash leaves
    std::vector<std::string> links;   ///< symbolic links to what is, or may be, one of the two
    /// All but what is empty, sorted.
    std::vector<std::string> All() const;
  };
  /// Returns the entries of the directory that look like morsels, damaged ones too.
  Result<Names> MorselNames() const;
  /// The error of a name that is too long for a morsel's: kInvalidArgument.
  Status TooLong(const std::string& name) const;
  bool MayLeadToMorsel(const std::string& link) const;

  /// Addresses that a morsel is about to have. Nobody else takes them meanwhile.
  struct Place {
    os::AddressRange range;
    AddressLock lock;
  };
  /// What the registry is told of the pool, which lives as long as the lock.
  RegisteredPool Registered(const AddressLock& lock);
  /// Tells the registry which morsels the directory has, of which it was just made a pool.
  void EnterRegistry();
  /// Tells the registry that the pool has the addresses of this morsel.
  void ClaimAddresses(const CatalogRecord& record);
  /// Does what TakePlace() does by the registry, or returns nothing, where there is none. In a
  /// place is `lock` itself.
  Result<std::optional<Place>> TakeRegistered(CatalogRecord& record, uint64_t moved_from,
                                              AddressLock& lock);
  /// Reserves a range that no other morsel of the pool has, and sets the record's base.
  /// moved_from  as for BasesFor().
  Result<Place> TakePlace(CatalogRecord& record, uint64_t moved_from = 0);
  /// Gives back a place that TakePlace() took for a morsel that was not made.
  void GiveBackPlace(const AddressLock& lock, const CatalogRecord& record);
  /// Counts a name by the lock, lets `give` give it, and tells the registry where it has.
  template <class Give>
  auto GiveName(AddressLock& lock, const Give& give) {
    lock.CountName();
    auto given = give();
    if (StatusOf(given).ok()) addresses_.NoteName(Registered(lock), lock.registry());
    lock.registry().reset();
    return given;
  }
  /// Removes the morsel's name, and gives its addresses back.
  Status RemoveName(const std::string& name);
  /// Locks the range that the record says, which no other morsel of the pool has.
  Result<AddressLock> LockPlaceOf(const CatalogRecord& record);
  /// Keeps other writers from `file`, which was opened as its one writer, also where somebody who
  /// may only read it has put a lock in the writer's place. What it returns is to be held as long
  /// as the file is written.
  /// Errors  kBusy; as AddressLock::Open(), where there is such a lock.
  Result<std::shared_ptr<AddressLock>> LockBeside(const os::File& file,
                                                  const std::string& name) const;
  /// A morsel's file that is opened to be written, and what is to be held meanwhile.
  struct Writable {
    os::File file;
    std::shared_ptr<AddressLock> beside;
  };
  Result<Writable> OpenForWriting(const std::string& name) const;
  /// Takes the addresses that the record says.
  /// replaces  the morsel that has its name gives way, so that they may be its own.
  Result<AddressLock> TakeGivenPlace(const CatalogRecord& record, bool replaces);
  /// A morsel that gives way to another of its name, if there is one.
  struct Replaced {
    os::Naming naming = os::Naming::kNew;
    std::optional<Writable> file;     ///< keeps others from writing it
    std::optional<AddressSpan> span;  ///< its addresses
  };
  /// is_kept  the caller keeps others from writing it.
  Result<Replaced> LookAtReplaced(const std::string& name, bool is_kept);
  /// Does what GiveName() does, and gives back the addresses of what was replaced.
  template <class Make>
  Status GiveNameInPlace(AddressLock& lock, const CatalogRecord& record, const Replaced& replaced,
                         const Make& make);
  Status MakeImage(const CatalogRecord& record, const MakingWhole& making, os::Naming naming);
  /// Opens the morsel `name`, so that nobody becomes its writer before the file is closed.
  /// Errors  kBusy: somebody is; kCorrupt: the file is no morsel's; kNotFound, kPermission, kIo.
  Result<Writable> OpenToChangeName(const std::string& name) const;
  Status ServesImageOf(const CatalogRecord& record) const;
  Result<std::unique_ptr<Backing>> CreateImage(CatalogRecord record, const Formatter& format,
                                               const image::Progress& progress);
  Status StoreAnew(const os::File& old, const std::string& name, const image::Progress& progress);
  Result<std::unique_ptr<Backing>> OpenToWrite(const std::string& name,
                                               const image::Progress& progress);
  /// damaged  as for OpenIntact(); with nullptr damage is an error.
  Result<std::unique_ptr<Backing>> OpenToRead(const std::string& name,
                                              const image::Damaged* damaged,
                                              const image::Progress& progress);
  /// Errors  kOvertaken: it was written over while it was read.
  Result<std::unique_ptr<Backing>> OpenImage(os::File file, const std::string& name, bool read_only,
                                             const image::Damaged* damaged,
                                             const image::Progress& progress);

  /// Opens the image for reading, and maps what a mapping can show. Returns nullptr where nothing
  /// can be mapped, or somebody may be writing it: it is to be loaded.
  /// Errors  as OpenImage().
  Result<std::unique_ptr<Backing>> OpenMapped(os::File file, const std::string& name,
                                              const image::Progress& progress);
  Result<os::AddressRange> ReserveRangeOf(const CatalogRecord& record) const;

  os::Directory directory_;
  PoolFile pool_file_;
  PoolAddresses addresses_;
};

}  // namespace morsel
