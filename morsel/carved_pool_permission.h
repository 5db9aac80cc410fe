// Whether this process may do something with a morsel, by the owner and mode
// that the catalog has for it, as a file system would judge.
#pragma once

#include <string>

#include "base/result.h"
#include "morsel/pool.h"

namespace morsel {

/// Errors  kPermission. Root passes.
Status MayOpen(const Record& record, bool read_only, const std::string& subject);

/// The owner may, and who may write.
/// Errors  kPermission. Root passes.
Status MayRemove(const Record& record, const std::string& subject);

}  // namespace morsel
