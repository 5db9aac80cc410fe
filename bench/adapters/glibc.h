// The C library's own allocator: volatile.
#pragma once

#include <gnu/libc-version.h>

#include <cstdlib>
#include <string>

#include "bench/place.h"
#include "bench/resident.h"

namespace bench {

class Adapter : public ResidentMemory {
 public:
  static constexpr bool kFreesFromAnyThread = true;
  static constexpr bool kDurable = false;

  explicit Adapter(const Place&) {}

  static std::string Version() { return gnu_get_libc_version(); }

  class Thread {
   public:
    explicit Thread(Adapter&) {}
    void* Allocate(size_t size_bytes) { return std::malloc(size_bytes); }
    void Free(void* block) { std::free(block); }
  };
};

}  // namespace bench
