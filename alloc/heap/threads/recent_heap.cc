#include "alloc/heap/threads/recent_heap.h"

namespace morsel::alloc {

thread_local constinit RecentHeap recent_heap;

}  // namespace morsel::alloc
