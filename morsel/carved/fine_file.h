// A fine morsel of a directory pool: a file of its own on persistent memory, laid out like a
// carved pool of one morsel. The file system keeps its name, owner and mode; what the catalog in
// it says of those is not looked at, so that a copy is a morsel, too.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "image/image_file.h"
#include "morsel/carved/carved_pool_medium.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/pool.h"
#include "os/file/directory.h"
#include "os/file/file.h"

namespace morsel {

/// Whether the file begins like one.
/// Errors  kIo.
Result<bool> LooksLikeFineFile(const pmem::File& file);

/// What the file says of its morsel, by a copy of its metadata: nothing is mapped or changed.
/// Errors  kCorrupt, kVersion, kNoMemory, kIo.
Result<CatalogRecord> ReadFineFile(const pmem::File& file, const std::string& name);

/// A finding for all that is wrong with the metadata, and for each bad range of the medium; of the
/// heap nothing is looked at.
/// Errors  as ReadFineFile().
Result<std::vector<Finding>> CheckFineFile(const pmem::File& file, const std::string& subject);

/// An open one: the backing, and what it stands on, which lives as long.
struct FineMorsel {
  std::unique_ptr<Backing> backing;
  std::weak_ptr<CarvedMedium> medium;
};

/// Makes the morsel that `record` describes, at `range`.
/// Durability  on return; after a crash before, there is nothing of that name.
/// Errors      kExists; kUnsupported (not on persistent memory); kNoSpace, kNoMemory, kPermission,
///             kIo.
Result<FineMorsel> CreateFineFile(const pmem::Directory& directory, const Window& window,
                                  const CatalogRecord& record, pmem::AddressRange range,
                                  const Formatter& format);

/// Makes a file of the morsel that `record` describes and `image` has, which is not opened: its
/// range may be in use, by what was exported.
/// Durability  on return; after a crash before, there is nothing of that name.
/// Errors      as CreateFineFile(), and kCorrupt; kBusy: somebody writes the image;
///             kAddressExhausted.
Status ImportFineFile(const pmem::Directory& directory, const Window& window,
                      const CatalogRecord& record, const pmem::image::ImageFile& image);

/// Maps the morsel of `file` at its recorded address. `label` is what others are told who meet it.
/// Errors  as ReadFineFile(), and kUnsupported, kAddressTaken.
Result<FineMorsel> OpenFineFile(pmem::File file, const std::string& name, bool read_only,
                                const std::string& label);

/// What an open one says now; `file` is the same once more.
/// Threads  any.
/// Errors   kIo.
Result<CatalogRecord> ReadOpenFineFile(CarvedMedium& medium, const pmem::File& file,
                                       const std::string& name);

}  // namespace morsel
