// A fine morsel of a directory pool: a file of its own on persistent memory, laid out like a carved
// pool with one morsel. The file system keeps its name, owner and mode; what the file's own catalog
// says of those is ignored, so that a copy of the file is a morsel, too.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/carved/carved_pool_backing.h"
#include "morsel/carved/carved_pool_medium.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/pool.h"
#include "os/file/directory.h"
#include "os/file/file.h"

namespace morsel {

/// Whether the file begins like that of a fine morsel.
/// Errors  kIo.
Result<bool> LooksLikeFineFile(const os::File& file);

/// Returns what the file says of its morsel, whoever writes it meanwhile. The metadata are read
/// into memory; nothing is mapped or changed.
/// Errors  kCorrupt, kVersion, kInvalidArgument, kNoMemory, kIo.
Result<CatalogRecord> ReadFineFile(const os::File& file, const std::string& name);

/// Returns a finding for each thing that is wrong with the metadata, and for each bad range of the
/// medium. The heap is not checked.
/// Errors  as ReadFineFile().
Result<std::vector<Finding>> CheckFineFile(const os::File& file, const std::string& subject);

/// Makes the morsel that `record` describes and opens it at `range`.
/// Durability  on return; after a crash before that, there is nothing of that name.
/// Errors      kExists; kUnsupported (not on persistent memory); kNoSpace, kNoMemory, kPermission,
///             kIo.
Result<std::unique_ptr<Backing>> CreateFineFile(const os::Directory& directory,
                                                const Window& window, const CatalogRecord& record,
                                                os::AddressRange range, const Formatter& format);

/// Makes the morsel that `record` describes of the bytes that `fill` fills its memory with. The
/// morsel is not opened: its memory is mapped anywhere meanwhile, since its range may be in use by
/// the one that it is made of.
/// naming      what becomes of a file that has the name.
/// Durability  on return; after a crash before that, there is nothing of that name, or what had it.
/// Errors      as CreateFineFile(), and those of `fill`; kAddressExhausted.
Status MakeFineFile(const os::Directory& directory, const Window& window,
                    const CatalogRecord& record, const FillMemory& fill, os::Naming naming);

/// Maps the morsel of `file` at its recorded address. `label` names the morsel in the message of
/// whoever finds the address range taken.
/// Errors  as ReadFineFile(), and kUnsupported, kAddressTaken, kNoSpace.
Result<std::unique_ptr<Backing>> OpenFineFile(os::File file, const std::string& name,
                                              bool read_only, const std::string& label);

}  // namespace morsel
