// memkind's kind for persistent memory: memory of a file, but volatile.
#pragma once

#include <memkind.h>

#include <string>

#include "bench/place.h"

namespace bench {

class Adapter {
 public:
  static constexpr bool kFreesFromAnyThread = true;
  static constexpr bool kDurable = false;

  explicit Adapter(const Place& place) {
    if (memkind_create_pmem(place.folder.c_str(), place.size_bytes, &kind_) != MEMKIND_SUCCESS) {
      Fail("memkind_create_pmem", place.folder.c_str());
    }
  }
  ~Adapter() { memkind_destroy_kind(kind_); }
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

  static std::string Version() { return std::to_string(memkind_get_version()); }

  class Thread {
   public:
    explicit Thread(Adapter& adapter) : kind_(adapter.kind_) {}
    void* Allocate(size_t size_bytes) { return memkind_malloc(kind_, size_bytes); }
    void Free(void* block) { memkind_free(kind_, block); }

   private:
    memkind_t kind_;
  };

 private:
  memkind_t kind_ = nullptr;
};

}  // namespace bench
