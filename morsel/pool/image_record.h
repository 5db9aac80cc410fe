// A morsel as its image says it, and as a pool does.
#pragma once

#include <string>

#include "image/image_file.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/pool.h"

namespace morsel {

/// What an import takes of a file's mode: no program is to run because of it.
inline constexpr uint32_t kPermissionBits = 0777;

/// What the image and its file say, as a pool's record.
/// Errors  kIo.
Result<CatalogRecord> RecordOf(const std::string& name, const pmem::File& file,
                               const pmem::image::ImageInfo& info);

/// kUnsupported: the morsel has an image, and what of that is damaged is another tool's to skip.
Status IsAnImage(const std::string& label);

/// Whether the pool can take up the morsel of `record`, with its id and at its base.
/// Errors  kUnsupported: the pool cannot serve its contract; kExists; kAddressTaken, naming the
///         morsel of the pool that has a part of its range; as impl::Pool::List().
Status CheckRoomFor(impl::Pool& pool, const CatalogRecord& record);

/// Whether a catalog with that window, on a medium of units of `unit_bytes`, would believe what
/// `record` says: it is to be in `pool`.                                                 [POOL-5]
/// Errors  kUnsupported; kCorrupt: the morsel has no memory at all.
Status CheckPlaceFor(const impl::Pool& pool, const Window& window, uint64_t unit_bytes,
                     const CatalogRecord& record);

}  // namespace morsel
