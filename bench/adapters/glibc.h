// malloc(3): the C library's own, or that of a library which is preloaded in its place. Volatile.
#pragma once

#include <dlfcn.h>
#include <gnu/libc-version.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "bench/place.h"
#include "bench/resident.h"

namespace bench {

class Adapter : public ResidentMemory {
 public:
  static constexpr bool kFreesFromAnyThread = true;
  static constexpr bool kDurable = false;

  explicit Adapter(const Place&) {}

  /// The file of who serves malloc, where that is not the C library.
  static std::string Version() {
    Dl_info who = {};
    if (dladdr(dlsym(RTLD_DEFAULT, "malloc"), &who) == 0) Fail("dladdr", "malloc");
    const std::string file = std::filesystem::canonical(who.dli_fname).filename();
    return file.starts_with("libc.so") ? gnu_get_libc_version() : file;
  }

  class Thread {
   public:
    explicit Thread(Adapter&) {}
    void* Allocate(size_t size_bytes) { return std::malloc(size_bytes); }
    void Free(void* block) { std::free(block); }
  };
};

}  // namespace bench
