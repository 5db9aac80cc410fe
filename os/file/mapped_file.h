// Whether a mapping of a file shows what is written to the file past the page cache.
#pragma once

#include "os/file/file.h"

namespace morsel::os {

/// Whether a page of a private mapping of `file` that was not stored to is what the file has there,
/// also where that is written by O_DIRECT: the file system is known for it. It is not where the
/// file is memory itself (DAX), of which the kernel makes no pages that it could take away.
bool IsMappedCoherently(const File& file);

}  // namespace morsel::os
