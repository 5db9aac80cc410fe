// What both contracts of this library share: a pool with one morsel, and blocks of its heap.
#pragma once

#include <cstddef>
#include <string>

#include "bench/place.h"
#include "morsel/morsel.h"

namespace bench {

inline void Must(morsel_code code) {
  if (code != MORSEL_OK) Fail(morsel_code_name(code), morsel_last_error());
}

class OpenedMorsel {
 public:
  OpenedMorsel(const Place& place, const morsel_pool_options& pool_options,
               const morsel_options& options) {
    Must(morsel_pool_open((place.folder + "/pool").c_str(), &pool_options, &pool_));
    Must(morsel_open(pool_, "heap", &options, &morsel_));
  }
  ~OpenedMorsel() {
    Must(morsel_discard(morsel_));
    Must(morsel_pool_close(pool_));
  }
  OpenedMorsel(const OpenedMorsel&) = delete;
  OpenedMorsel& operator=(const OpenedMorsel&) = delete;

  morsel_t* get() const { return morsel_; }

 private:
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
};

/// What a thread of either contract does that asks for nothing durable.
class MorselThread {
 public:
  explicit MorselThread(const OpenedMorsel& opened) : morsel_(opened.get()) {}

  void* Allocate(size_t size_bytes) { return morsel_malloc(morsel_, size_bytes); }
  void Free(void* block) { morsel_free(morsel_, block); }

 protected:
  morsel_t* morsel() const { return morsel_; }

 private:
  morsel_t* morsel_;
};

}  // namespace bench
