// The process that works on a snapshot morsel until it is killed.
#pragma once

#include <cstdint>
#include <string>

#include "tests/crash/image/image_log.h"

namespace morsel::crash {

enum class Calls {
  kNoneDuringCheckpoints,  ///< all threads wait, so a checkpoint is known byte for byte
  kAnyDuringCheckpoints,   ///< other threads allocate and free all the time
};

/// Opens the pool and changes, checkpoints, closes and discards the morsel for this many sessions;
/// 0: without end.
/// Returns  the exit status. Fail() may end the process before.
int RunImageWriter(const std::string& pool_path, uint64_t seed, uint64_t sessions, Calls calls,
                   ImageLog& log);

}  // namespace morsel::crash
