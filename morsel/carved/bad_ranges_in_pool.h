// Finds out which morsel each bad range of a carved pool's medium belongs to.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/carved/carved_pool_metadata.h"
#include "morsel/pool/pool.h"
#include "pmem/media/bad_ranges.h"

namespace morsel {

/// Returns one finding for each bad range and each morsel that has a part of it, and one for the
/// pool if a part of the range belongs to no morsel. The ranges are offsets in the file or device
/// at `path`.
/// Errors  kCorrupt: the subtrees of a morsel cannot be told.
Result<std::vector<Finding>> FindingsOf(const std::vector<pmem::ByteRange>& bad,
                                        CarvedMetadata& metadata, const std::string& pool_subject,
                                        const std::string& path);

}  // namespace morsel
