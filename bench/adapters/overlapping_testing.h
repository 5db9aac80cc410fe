// An allocator with a bug, for the test that benchmarks notice one: some blocks overlap.
#pragma once

#include <cstdlib>
#include <string>

#include "bench/place.h"
#include "bench/resident.h"

namespace bench {

class Adapter : public ResidentMemory {
 public:
  explicit Adapter(const Place&) {}

  class Thread {
   public:
    explicit Thread(Adapter&) {}
    void* Allocate(size_t size_bytes) {
      if (++count_ % 100 == 0) return last_;
      return last_ = std::malloc(size_bytes > kSizeMaxBytes ? size_bytes : kSizeMaxBytes);
    }
    void Free(void*) {}

   private:
    static constexpr size_t kSizeMaxBytes = 32768;

    size_t count_ = 0;
    void* last_ = nullptr;
  };
};

}  // namespace bench
