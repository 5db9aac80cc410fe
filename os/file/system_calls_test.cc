#include "os/file/system_calls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "os/testing/scratch_testing.h"

namespace morsel::os {
namespace {

std::atomic<int> signals = 0;

// The open of a pipe waits for who writes it. That one comes only when the open was interrupted.
TEST(SystemCallsTest, ACallThatASignalInterruptsIsMadeAgain) {
  const Scratch scratch = Scratch::OnDisk();
  const std::string pipe = scratch.At("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  struct sigaction interrupt = {};
  struct sigaction before = {};
  interrupt.sa_handler = [](int) { ++signals; };
  ASSERT_EQ(sigaction(SIGUSR1, &interrupt, &before), 0);  // without SA_RESTART
  const pthread_t waiting = pthread_self();
  std::thread other([&] {
    while (signals < 100) {
      pthread_kill(waiting, SIGUSR1);
      std::this_thread::yield();
    }
    close(open(pipe.c_str(), O_WRONLY | O_CLOEXEC));
  });
  const int opened = KernelCalls().OpenAt(AT_FDCWD, pipe.c_str(), O_RDONLY, 0);
  const int error = errno;
  // Who was not waited for would wait himself.
  const int end = opened < 0 ? open(pipe.c_str(), O_RDONLY | O_CLOEXEC) : -1;
  other.join();
  EXPECT_GE(opened, 0) << error;
  if (opened >= 0) close(opened);
  if (end >= 0) close(end);
  ASSERT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
}

}  // namespace
}  // namespace morsel::os
