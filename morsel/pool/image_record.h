// From an image to a pool's record of a morsel, and whether a pool can take that morsel.
#pragma once

#include <string>

#include "image/image_file.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/pool.h"
#include "os/file/file_rights.h"

namespace morsel {

/// The bits of a file's mode that an import keeps. The set-user-ID, set-group-ID and sticky bits
/// are dropped.
inline constexpr uint32_t kPermissionBits = 0777;

/// The rights of the morsel's file, for a file that takes its place.
os::FileRights RightsOf(const CatalogRecord& record);

/// The rights of a file that is made from a morsel or an image: what kPermissionBits and the umask
/// leave of them.
os::FileRights RightsOfCopy(const CatalogRecord& record);

/// Makes a pool's record of what the image says and of the mode and owner of its file.
/// Errors  kIo.
Result<CatalogRecord> RecordOf(const std::string& name, const os::File& file,
                               const image::ImageInfo& info);

/// Returns what the image at `path` is of, by its superblock alone. The record has no name.
/// Errors  kInvalidArgument: it is no regular file, or does not begin as an image does; kCorrupt;
///         kVersion; kNotFound; kPermission; kIo.
Result<CatalogRecord> RecordOfImageAt(os::SystemCalls& calls, const std::string& path);

/// The error of an export that was asked to skip bad memory of a snapshot morsel: kUnsupported,
/// with a message that names `morselctl salvage`.
Status IsAnImage(const std::string& label);

/// Checks that the pool can take the morsel of `record` with the name and the base that it says.
/// replaces  what has the name gives way to it.
/// Errors  kUnsupported: the pool cannot serve its contract; kExists; kAddressTaken: the message
///         names the pool's morsel that has a part of the range; and as impl::Pool::List().
Status CheckRoomFor(impl::Pool& pool, const CatalogRecord& record, bool replaces);

/// Checks that a catalog of `pool`, with that window and on a medium with units of `unit_bytes`,
/// would believe `record` when it reads it again.                                        [POOL-5]
/// Errors  kUnsupported; kCorrupt: the morsel's size is 0.
Status CheckPlaceFor(const impl::Pool& pool, const Window& window, uint64_t unit_bytes,
                     const CatalogRecord& record);

}  // namespace morsel
