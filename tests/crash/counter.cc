#include "tests/crash/counter.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace morsel::crash {

// std::atomic waits among the threads of one process only.
void Counter::Raise() {
  if (++value_ != target_.load()) return;
  reached_.store(1);
  syscall(SYS_futex, &reached_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void Counter::SetTarget(uint64_t target) {
  reached_.store(0);
  target_.store(target);
}

bool Counter::WaitForTarget(std::chrono::milliseconds at_most) const {
  const timespec timeout = {at_most.count() / 1000, at_most.count() % 1000 * 1'000'000};
  if (reached_.load() == 0) syscall(SYS_futex, &reached_, FUTEX_WAIT, 0, &timeout, nullptr, 0);
  return reached_.load() != 0;
}

}  // namespace morsel::crash
