// The code of those who read something without a lock and were slower than its writer.
#pragma once

#include "base/result.h"

namespace morsel {

/// What was read has been written over meanwhile: whoever reads begins again. It is none of the
/// API's codes, and no call of the API answers it: see morsel/pool/while_overtaken.h.
inline constexpr Code kOvertaken = static_cast<Code>(-1);

}  // namespace morsel
