#include "os/file/umask.h"

#include <cstdio>

#include "base/descriptor_floor.h"

namespace morsel::os {

mode_t WithoutUmask(mode_t mode) {
  constexpr mode_t kAllButTheOwners = 077;
  const DescriptorFloor floor;
  std::FILE* const status = std::fopen("/proc/self/status", "re");
  if (status == nullptr) return mode & ~kAllButTheOwners;
  unsigned umask = kAllButTheOwners;
  char line[256];
  while (std::fgets(line, sizeof line, status) != nullptr) {
    if (std::sscanf(line, "Umask: %o", &umask) == 1) break;
  }
  std::fclose(status);
  return mode & ~umask;
}

}  // namespace morsel::os
