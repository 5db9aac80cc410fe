// Whose the bad ranges of a carved pool's medium are.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/carved/carved_pool_metadata.h"
#include "morsel/pool/pool.h"
#include "pmem/media/bad_ranges.h"

namespace morsel {

/// A finding for each bad range and each morsel that it meets, else for the pool. `path` is the
/// file or device that the ranges are of.
/// Errors  kCorrupt: the pool does not know whose a part is.
Result<std::vector<Finding>> FindingsOf(const std::vector<pmem::ByteRange>& bad,
                                        CarvedMetadata& metadata, const std::string& pool_subject,
                                        const std::string& path);

}  // namespace morsel
