// For tests: system calls that fail, whoever in this process makes them by the C library.
#pragma once

#include <cstdint>

namespace morsel::trouble {

enum class Fails : uint8_t {
  kNone,
  kOpen,
  kRead,
  kWrite,
  kTruncate,
  kDataSync,
  kSync,
  kName,
  kEnd,
  kStream,  ///< fopen(3), which few calls need
};

/// As long as it lives, calls of that kind set `error` and fail. One at a time.
class FailingCalls {
 public:
  FailingCalls(Fails kind, int error);
  ~FailingCalls();
  FailingCalls(const FailingCalls&) = delete;
  FailingCalls& operator=(const FailingCalls&) = delete;
};

}  // namespace morsel::trouble
