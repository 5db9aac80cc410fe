// How who reads an image, without a lock, meets its writer.
#pragma once

#include "base/result.h"

namespace morsel {

/// How often a reader begins anew who was overtaken by the writer.
inline constexpr int kReadsMax = 100;

/// Calls `read` again as long as it answers kBusy, which it does when the image was written over
/// while it was read: what it reads then is newer.
template <class Read>
auto WhileOvertaken(const Read& read) {
  auto done = read();
  for (int reads = 1; reads < kReadsMax && StatusOf(done).code() == Code::kBusy; ++reads) {
    done = read();
  }
  return done;
}

}  // namespace morsel
