// How a failure gets its sentence.
#pragma once

#include "base/result.h"

namespace morsel {

/// Room for a path or two, and for what is said of them.
inline constexpr size_t kErrorTextBytes = 8192;

/// The code's name as the C API writes it, e.g. "MORSEL_NO_SPACE".
/// Ownership  static.
const char* CodeName(Code code);

/// Keeps the sentence for LastError() and returns the code.
///
/// The sentence names the thing, what was tried, what was wrong and what to do.
/// Cut at kErrorTextBytes - 1 bytes.
/// Threads  any; each has a sentence of its own.
[[gnu::format(printf, 2, 3)]] Status Fail(Code code, const char* format, ...);

/// As Fail(), for a system call: strerror(errno) and what to do about it end the sentence, and
/// errno decides the code (ENOSPC, EDQUOT, EFBIG: kNoSpace; EACCES, EPERM, EROFS: kPermission;
/// ENOENT: kNotFound; EEXIST: kExists; ENOMEM: kNoMemory; else kIo).
[[gnu::format(printf, 1, 2)]] Status FailErrno(const char* format, ...);

/// The sentence of this thread's last failure; empty if there was none.
const char* LastError();

/// Keeps this thread's sentence over what is done to clean up after a failure.
class KeepLastError {
 public:
  KeepLastError();
  ~KeepLastError();
  KeepLastError(const KeepLastError&) = delete;
  KeepLastError& operator=(const KeepLastError&) = delete;

 private:
  char text_[kErrorTextBytes];
};

}  // namespace morsel

/// Returns from the function if `expression`, a Status, is a failure.
#define MORSEL_TRY(expression)                                                                    \
  do {                                                                                            \
    if (::morsel::Status morsel_status = (expression); !morsel_status.ok()) return morsel_status; \
  } while (false)
