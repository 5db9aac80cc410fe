#include "base/file_size_limit.h"

#include <sys/resource.h>

namespace morsel {

bool IsAboveFileSizeLimit(uint64_t end_bytes) {
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
  return limit.rlim_cur != RLIM_INFINITY && end_bytes > limit.rlim_cur;
}

}  // namespace morsel
