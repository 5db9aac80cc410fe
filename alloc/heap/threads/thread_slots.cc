#include "alloc/heap/threads/thread_slots.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "base/futex.h"

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
  // Most threads are inside for some ten instructions.
  constexpr int kLooksBeforeSleep = 100;
  // Whoever waits for long wakes up late by as much again at most.
  constexpr uint64_t kFirstSleepNs = 20'000;
  constexpr uint64_t kLongestSleepNs = 1'000'000;
  uint64_t sleep_ns = kFirstSleepNs;
  for (int looks = 0; inside.load(std::memory_order_acquire) != 0; ++looks) {
    if (looks < kLooksBeforeSleep) continue;
    SleepWhile(inside, 1, sleep_ns);
    sleep_ns = std::min(2 * sleep_ns, kLongestSleepNs);
  }
}

}  // namespace morsel::alloc
