#include "alloc/heap/threads/thread_state.h"

namespace morsel::alloc {

constinit ThreadState no_state;
constinit thread_local ThreadState* my_state = &no_state;

}  // namespace morsel::alloc
