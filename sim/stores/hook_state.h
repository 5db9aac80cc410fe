// What a hook looks at before it does anything: it runs at every access to memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace morsel::sim {

/// Of each thread.
struct HookState {
  const void* pending;   ///< announced, not yet made
  size_t pending_bytes;  ///< 0: nothing
  const void* pending_pc;
  uint32_t depth;         ///< above 0: the simulator itself is at work
  uint32_t initializing;  ///< statics that this thread is initializing
  uint8_t thread;         ///< of the scheduler's, from 1 on; 0: any other
  bool scheduled;
};
extern thread_local constinit HookState hook_state;

/// Of the process: recording, and the addresses among which all watched ones lie.
struct HookBounds {
  bool active;
  uintptr_t low;
  uintptr_t extent_bytes;
  uint64_t fuel;  ///< hooks until the code under test is taken for endless
};
extern constinit HookBounds hook_bounds;

/// Makes the hooks of this thread do nothing while it lives.
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
