// A carved pool in a regular file on persistent memory or on a device-dax device,
// for morsels of the fine contract: their memory is the medium's own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/carved/carved_pool_medium.h"
#include "morsel/pool/pool.h"
#include "os/file/system_calls.h"

namespace morsel {

/// Who may open the file may read and write all of it. The owner and mode that the catalog has for
/// each morsel keep honest programs apart, no others.
/// Threads  any. The pool outlives what it hands out.
class CarvedPool : public impl::Pool {
 public:
  /// Makes a new regular file of size_bytes, rounded up to 2 MiB, a pool and opens it for writing.
  /// Durability  on return; after a crash before, there is nothing of that name.
  /// Errors      kExists; kInvalidArgument (too small); kUnsupported (not on persistent memory);
  ///             kNoSpace; kPermission; kIo.
  static Result<std::unique_ptr<impl::Pool>> Create(const std::string& path, uint64_t size_bytes,
                                                    uint32_t mode, pmem::SystemCalls& calls);

  /// Errors  kNotFound; kBusy, naming the process that has it; kCorrupt; kVersion; kUnsupported;
  ///         kPermission; kNoSpace; kNoMemory; kIo.
  static Result<std::unique_ptr<impl::Pool>> Open(const std::string& path, bool read_only,
                                                  pmem::SystemCalls& calls);

  std::string medium() const override { return medium_->name(); }
  uint32_t granularity_bytes(Contract) const override { return medium_->granularity_bytes(); }
  const PoolSuperblock& superblock() const { return medium_->metadata().superblock(); }
  Status Supports(Contract contract, bool giant) const override;
  Result<CatalogRecord> Find(const std::string& name) override;
  Result<std::vector<CatalogRecord>> List() override;
  /// On a medium of units of 1 GiB every morsel is giant, whatever was asked for.
  Result<std::unique_ptr<Backing>> Create(const CatalogRecord& asked,
                                          const Formatter& format) override;
  Result<std::unique_ptr<Backing>> Open(const std::string& name, bool read_only) override;
  Status Export(const std::string& name, const pmem::Directory& to, const std::string& file_name,
                const ExportOptions& options) override;
  /// Loads straight into the subtrees, which are nobody's until the catalog has the morsel.
  Status Import(const std::string& name, const pmem::image::ImageFile& image) override;
  Status Remove(const std::string& name) override;
  void CloseAfterFork() override { medium_->CloseAfterFork(); }
  Status Check(const std::function<void(const Finding&)>& report) override;

 private:
  CarvedPool(std::string path, bool read_only, std::unique_ptr<CarvedMedium> medium)
      : impl::Pool(std::move(path), read_only), medium_(std::move(medium)) {}
  static Result<std::unique_ptr<impl::Pool>> Adopt(pmem::File file, bool read_only);
  CatalogRecord Carved(const CatalogRecord& asked) const;
  Status Load(const CatalogRecord& record, const pmem::image::ImageFile& image,
              const std::vector<SubtreeIndex>& subtrees);
  Status MustBeWritable(const char* tried) const;
  std::string SubjectOf(const std::string& name) const;

  std::shared_ptr<CarvedMedium> medium_;
};

}  // namespace morsel
