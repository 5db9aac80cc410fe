// Checks a whole pool: what it keeps of its morsels, and the morsels themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "morsel/pool/pool.h"

namespace morsel {

/// What a check has read, and the result.
struct CheckSummary {
  uint64_t morsels = 0;     ///< morsels that were opened and read to the end
  uint64_t roots = 0;       ///< the roots of those morsels
  uint64_t live_bytes = 0;  ///< the live bytes of those morsels
  uint64_t damages = 0;     ///< findings of something wrong on the medium
  /// Why a morsel could not be checked although nothing is known to be wrong with it, e.g.
  /// kAddressTaken, kPermission or kNoMemory; a finding names the morsel. kOk: there is no such
  /// morsel.
  Code obstacle = Code::kOk;
};

/// Calls `look` while nobody else in this process opens the morsel `name`.
/// Errors  kBusy: it is open; those of `look`.
using WhileClosed =
    std::function<Status(const std::string& name, const std::function<Status()>& look)>;

/// Runs the pool's own check, then opens each morsel for reading, one at a time, and checks its
/// heap and roots. None of them may be open in this process. Nothing on the medium changes, however
/// damaged it is.
/// only          the name of one morsel: findings about others are left out. Empty: all morsels.
/// while_closed  keeps others from a morsel that is looked at. Empty: there are no others.
/// Errors  kNotFound (`only`); kInvalidArgument (`only` cannot be a name); kIo, kNoMemory (the pool
///         itself cannot be read). A finding is no error.
/// Cost    reads every image whole and every heap's bits.
Result<CheckSummary> CheckPool(impl::Pool& pool, const std::string& only,
                               const std::function<void(const Finding&)>& report,
                               const WhileClosed& while_closed = {});

}  // namespace morsel
