// For tests: whether a thread sleeps.
#pragma once

#include <sys/types.h>

#include <fstream>
#include <string>

namespace morsel {

/// Waits until a thread of this process sleeps in the kernel. Returns false if it was not seen
/// asleep in very many looks, as a thread is not that yields or looks all the time.
inline bool IsSeenAsleep(pid_t thread) {
  for (int looks = 0; looks < 200'000; ++looks) {
    std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string line;
    std::getline(stat, line);
    const size_t name_end = line.rfind(')');
    if (name_end != std::string::npos && line.at(name_end + 2) == 'S') return true;
  }
  return false;
}

}  // namespace morsel
