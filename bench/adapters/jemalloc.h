// jemalloc: volatile. Debian's gives its functions the C library's names.
#pragma once

#include <jemalloc/jemalloc.h>

#include <string>

#include "bench/place.h"
#include "bench/resident.h"

namespace bench {

class Adapter : public ResidentMemory {
 public:
  static constexpr bool kFreesFromAnyThread = true;
  static constexpr bool kDurable = false;

  explicit Adapter(const Place&) {}

  static std::string Version() {
    const char* version = "";
    size_t size_bytes = sizeof version;
    if (mallctl("version", &version, &size_bytes, nullptr, 0) != 0) Fail("mallctl", "version");
    return version;
  }

  class Thread {
   public:
    explicit Thread(Adapter&) {}
    void* Allocate(size_t size_bytes) { return malloc(size_bytes); }
    void Free(void* block) { free(block); }
  };
};

}  // namespace bench
