#include "base/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace morsel {
namespace {

void Sleep(const std::atomic<uint32_t>& word, uint32_t value, const timespec* at_most) {
  const int before = errno;
  (void)syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, at_most, nullptr, 0);
  errno = before;
}

}  // namespace

void SleepWhile(const std::atomic<uint32_t>& word, uint32_t value, uint64_t nanoseconds) {
  constexpr uint64_t kSecond = 1'000'000'000;
  const timespec at_most{static_cast<time_t>(nanoseconds / kSecond),
                         static_cast<long>(nanoseconds % kSecond)};
  Sleep(word, value, &at_most);
}

void SleepWhile(const std::atomic<uint32_t>& word, uint32_t value) { Sleep(word, value, nullptr); }

void WakeAll(const std::atomic<uint32_t>& word) {
  const int before = errno;
  (void)syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  errno = before;
}

}  // namespace morsel
