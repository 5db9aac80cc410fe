// Runs a program under a malloc that is preloaded, and writes what it took to a file: seconds of
// processor time, and the kibibytes that were resident at most in any of its processes. A process
// begins with the peak of who started it: so it is this small program that does.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/place.h"

namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

[[noreturn]] void Become(const char* preload, char** command) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // it is not left behind
  if (setenv("LD_PRELOAD", preload, 1) == 0) execv(command[0], command);
  bench::Fail(command[0], std::strerror(errno));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) bench::Fail("usage", "measured FILE LIBRARY PROGRAM ARGUMENT...");
  const pid_t child = fork();
  if (child == 0) Become(argv[2], argv + 3);
  int status = 0;
  rusage used = {};
  if (wait4(child, &status, 0, &used) != child) bench::Fail("wait4", std::strerror(errno));
  std::FILE* const file = std::fopen(argv[1], "w");
  if (file == nullptr) bench::Fail(argv[1], std::strerror(errno));
  std::fprintf(file, "%.6f %ld\n", Seconds(used.ru_utime) + Seconds(used.ru_stime), used.ru_maxrss);
  std::fclose(file);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
