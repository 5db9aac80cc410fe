#include "sim/stores/hook_state.h"

namespace morsel::sim {

thread_local constinit HookState hook_state{};
constinit HookBounds hook_bounds{};

}  // namespace morsel::sim
