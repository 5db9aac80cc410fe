// What every hook does before its own work. It is inline, because hooks run at every access to
// memory.
#pragma once

#include "sim/stores/hook_state.h"
#include "sim/stores/recorder.h"

namespace morsel::sim {

/// The code under test has called so many hooks that it will not end. incarnation.cc ends it.
void OutOfFuel();

inline void BeginHook() {
  if (hook_state.pending_bytes != 0) RecordPending();
  if (hook_bounds.fuel-- == 0) OutOfFuel();
}

}  // namespace morsel::sim
