// The state that a hook reads before it does anything. Hooks run at every access to memory, so it
// is small and inline.
#pragma once

#include <cstddef>
#include <cstdint>

namespace morsel::sim {

/// The state of one thread.
struct HookState {
  const void* pending;   ///< a store that was announced and may not have been made yet
  size_t pending_bytes;  ///< 0: none
  const void* pending_pc;
  uint32_t depth;         ///< above 0 while the simulator's own code runs
  uint32_t initializing;  ///< how many statics this thread is initializing
  uint8_t thread;         ///< numbered by the scheduler from 1; 0: not one of its threads
  bool scheduled;
};
extern thread_local constinit HookState hook_state;

/// The state of the process: whether it records, and a range that contains all watched addresses.
struct HookBounds {
  bool active;
  uintptr_t low;
  uintptr_t extent_bytes;
  uint64_t fuel;  ///< how many more hooks may run before the code under test counts as endless
};
extern constinit HookBounds hook_bounds;

/// Makes the hooks of this thread do nothing while the object exists.
class InSimulator {
 public:
  InSimulator() { ++hook_state.depth; }
  ~InSimulator() { --hook_state.depth; }
  InSimulator(const InSimulator&) = delete;
  InSimulator& operator=(const InSimulator&) = delete;
};

inline bool Hooked() { return hook_bounds.active && hook_state.depth == 0; }

inline bool MayBeWatched(const void* address) {
  return reinterpret_cast<uintptr_t>(address) - hook_bounds.low < hook_bounds.extent_bytes;
}

}  // namespace morsel::sim
