// A pool looked at whole: what it keeps of its morsels, and the morsels themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "morsel/pool/pool.h"

namespace morsel {

/// What a check has looked at, and how that went.
struct CheckSummary {
  uint64_t morsels = 0;     ///< opened and read to the end
  uint64_t roots = 0;       ///< of those
  uint64_t live_bytes = 0;  ///< of those
  uint64_t damages = 0;     ///< findings of something wrong on the medium
  /// Why a morsel, named by a finding, could not be looked at although nothing is known to be wrong
  /// with it: e.g. kAddressTaken, kPermission, kNoMemory. kOk: there was none.
  Code obstacle = Code::kOk;
};

/// Looks at the pool by itself, then opens each morsel read-only, one at a time, and looks at its
/// heap and roots. `only`: what concerns this morsel or the pool as a whole; empty: all. None of
/// them may be open in this process. Nothing on the medium changes, however damaged it is.
/// Errors  kNotFound (`only`); kInvalidArgument (no name can be so); kIo, kNoMemory (the pool
/// itself
///         cannot be read). What is found is no error.
/// Cost    reads every image whole and every heap's bits.
Result<CheckSummary> CheckPool(impl::Pool& pool, const std::string& only,
                               const std::function<void(const Finding&)>& report);

}  // namespace morsel
