// The message of a failure: what was tried, on what, why it failed, and what to do.
#pragma once

#include "base/result.h"

namespace morsel {

/// The size of a message's buffer: room for a path or two and the text around them.
inline constexpr size_t kErrorTextBytes = 8192;
/// What is left of a message where the process has no memory for such a buffer.
inline constexpr size_t kShortErrorTextBytes = 160;

/// The code's name as the C API writes it, e.g. "MORSEL_NO_SPACE".
/// Ownership  a static string.
const char* CodeName(Code code);

/// Formats the message that LastError() returns, and returns `code`.
///
/// The message names the thing, what was tried, what was wrong and what to do.
/// It is cut off after kErrorTextBytes - 1 bytes. The first failure of a thread gets memory for it;
/// without memory it is cut off after kShortErrorTextBytes - 1 bytes.
/// Threads  any; each thread has its own message.
[[gnu::format(printf, 2, 3)]] Status Fail(Code code, const char* format, ...);

/// Does what Fail() does, for a system call that failed. strerror(errno) and advice are appended to
/// the message, and errno decides the code:
///
///     ENOSPC, EDQUOT, EFBIG             kNoSpace
///     EACCES, EPERM, EROFS              kPermission
///     ENOENT, ENOTDIR                   kNotFound
///     EEXIST, ENOTEMPTY                 kExists
///     EBUSY, ETXTBSY                    kBusy
///     ENOMEM, EAGAIN, EMFILE, ENFILE    kNoMemory
///     ENAMETOOLONG, ELOOP, EISDIR, ...  kInvalidArgument
///     EIO, EUCLEAN, ESTALE, ...  kIo: the medium failed, or what is before it
///     EINVAL, EOPNOTSUPP, ENOLCK, ...   kUnsupported, and all others
///
/// Threads  any; each thread has its own message.
[[gnu::format(printf, 1, 2)]] Status FailErrno(const char* format, ...);

/// Whether an errno says that a file system or a kernel does not do what it was asked.
bool IsNotDoneHere(int error);

/// The message of this thread's last failure; empty if there was none.
/// Ownership  the thread's own buffer, valid until its next failure or its end.
const char* LastError();

/// What a call answered, whichever of the two it returns.
inline Status StatusOf(Status status) { return status; }
template <class Value>
Status StatusOf(const Result<Value>& result) {
  return result.status();
}

/// Restores this thread's message at the end of a scope, so that failures while cleaning up do not
/// replace the message of what went wrong first. Without memory it restores only the beginning.
class KeepLastError {
 public:
  KeepLastError();
  ~KeepLastError();
  KeepLastError(const KeepLastError&) = delete;
  KeepLastError& operator=(const KeepLastError&) = delete;

  /// What failed since is what the caller is to know: nothing is restored.
  void LetGo() { restores_ = false; }

 private:
  bool restores_ = true;
  char* text_ = nullptr;  ///< the whole message, if it is not in `short_`
  char short_[kShortErrorTextBytes];
};

}  // namespace morsel

/// Evaluates `expression`, a Status, and returns it from the function if it is a failure.
#define MORSEL_TRY(expression)                                                                    \
  do {                                                                                            \
    if (::morsel::Status morsel_status = (expression); !morsel_status.ok()) return morsel_status; \
  } while (false)
