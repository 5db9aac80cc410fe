#include "alloc/heap/threads/thread_slots.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

namespace morsel::alloc {

bool SlotsCanBeEmptied() {
  static const bool can =
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return can;
}

void BarrierInAllThreads() {
  if (SlotsCanBeEmptied() && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
    Die("membarrier(2) fails after it was registered; a heap cannot be had alone");
  }
}

void WaitUntilOutside(const std::atomic<uint32_t>& inside) {
  while (inside.load(std::memory_order_acquire) != 0) sched_yield();
}

}  // namespace morsel::alloc
