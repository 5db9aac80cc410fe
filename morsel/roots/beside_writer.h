// Reads what another process may be changing.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/result.h"
#include "pmem/persist/persist.h"

namespace morsel {

inline constexpr int kReadsBesideWriterMax = 1000;

/// Calls `read`, which returns a Result, and returns what it returns. If the word has changed
/// meanwhile, what was read may be anything, and it is called again.
/// count   nullptr: nobody changes anything.
/// Errors  those of `read`; kBusy: the word changes all the time.
template <class Read>
auto BesideWriter(const uint64_t* count, Read read) -> decltype(read()) {
  if (count == nullptr) return read();
  for (int i = 0; i < kReadsBesideWriterMax; ++i) {
    KeepLastError keep;
    const uint64_t before = pmem::Load(count);
    auto answer = read();
    std::atomic_thread_fence(std::memory_order_acquire);
    if (pmem::Load(count) == before) {
      keep.LetGo();
      return answer;
    }
  }
  return Fail(Code::kBusy,
              "another process changes roots faster than this one can read them; try again");
}

}  // namespace morsel
