// What every hook does before its own work. It is inline, because hooks run at every access to
// memory.
#pragma once

#include "sim/stores/hook_state.h"
#include "sim/stores/recorder.h"

namespace morsel::sim {

/// Ends the code under test, which has called so many hooks that it counts as endless.
/// incarnation.cc defines it.
void OutOfFuel();

inline void BeginHook() {
  if (hook_state.pending_bytes != 0) RecordPending();
  if (hook_bounds.fuel-- == 0) OutOfFuel();
}

}  // namespace morsel::sim
