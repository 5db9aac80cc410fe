// How long a file this process may make.
#pragma once

#include <cstdint>

namespace morsel {

/// Whether the process' limit on the size of files (RLIMIT_FSIZE) forbids to make a file
/// `end_bytes` long. The call that tried it would raise SIGXFSZ, which ends a process that does not
/// expect it. So whoever makes a file longer asks first, and fails with EFBIG, which is an error
/// like any other.
///
/// Threads  any. A limit that is lowered in the same moment is not seen.
/// Cost     one getrlimit(2).
bool IsAboveFileSizeLimit(uint64_t end_bytes);

}  // namespace morsel
