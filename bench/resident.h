// Memory of the process, for allocators that have no better account of what they took.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>

#include "bench/place.h"

namespace bench {

class ResidentMemory {
 public:
  /// What is there already is not counted.
  void StartTaking() { before_bytes_ = Bytes(); }
  uint64_t TakenBytes() const { return Bytes() - before_bytes_; }

 private:
  static uint64_t Bytes() {
    std::FILE* const file = std::fopen("/proc/self/statm", "r");
    unsigned long long pages = 0;
    if (file == nullptr || std::fscanf(file, "%*u %llu", &pages) != 1) Fail("/proc/self/statm", "");
    std::fclose(file);
    return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  }

  uint64_t before_bytes_ = 0;
};

}  // namespace bench
