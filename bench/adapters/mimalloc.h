// mimalloc: volatile, and what the volatile workloads are compared with.
#pragma once

#include <mimalloc.h>

#include <string>

#include "bench/place.h"
#include "bench/resident.h"

namespace bench {

class Adapter : public ResidentMemory {
 public:
  static constexpr bool kFreesFromAnyThread = true;
  static constexpr bool kDurable = false;

  explicit Adapter(const Place&) {}

  static std::string Version() { return std::to_string(mi_version()); }

  class Thread {
   public:
    explicit Thread(Adapter&) {}
    void* Allocate(size_t size_bytes) { return mi_malloc(size_bytes); }
    void Free(void* block) { mi_free(block); }
  };
};

}  // namespace bench
