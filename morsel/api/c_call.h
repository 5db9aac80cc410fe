// How the functions of the C API call the library: handles become objects, statuses become codes,
// and nothing throws.
#pragma once

#include <cerrno>
#include <new>

#include "base/check.h"
#include "base/deferred_cancellation.h"
#include "base/error.h"
#include "image/pipeline/progress.h"
#include "morsel/morsel.h"
#include "morsel/open/open_morsel.h"
#include "morsel/open/open_pool.h"

namespace morsel::api {

static_assert(static_cast<int>(Code::kOk) == MORSEL_OK);
static_assert(static_cast<int>(Code::kNoSpace) == MORSEL_NO_SPACE);
static_assert(static_cast<int>(Code::kInvalidArgument) == MORSEL_INVALID_ARGUMENT);
static_assert(static_cast<int>(Code::kNotFound) == MORSEL_NOT_FOUND);
static_assert(static_cast<int>(Code::kExists) == MORSEL_EXISTS);
static_assert(static_cast<int>(Code::kBusy) == MORSEL_BUSY);
static_assert(static_cast<int>(Code::kAddressTaken) == MORSEL_ADDRESS_TAKEN);
static_assert(static_cast<int>(Code::kCorrupt) == MORSEL_CORRUPT);
static_assert(static_cast<int>(Code::kVersion) == MORSEL_VERSION);
static_assert(static_cast<int>(Code::kPermission) == MORSEL_PERMISSION);
static_assert(static_cast<int>(Code::kIo) == MORSEL_IO);
static_assert(static_cast<int>(Code::kUnsupported) == MORSEL_UNSUPPORTED);
static_assert(static_cast<int>(Code::kNoMemory) == MORSEL_NO_MEMORY);
static_assert(static_cast<int>(Code::kAddressExhausted) == MORSEL_ADDRESS_EXHAUSTED);

inline morsel_code CodeOf(Status status) {
  return static_cast<morsel_code>(static_cast<int>(status.code()));
}

inline int ErrnoOf(Code code) {
  switch (code) {
    case Code::kNoSpace:
    case Code::kNoMemory:
    case Code::kAddressExhausted:
      return ENOMEM;
    case Code::kInvalidArgument:
      return EINVAL;
    case Code::kNotFound:
      return ENOENT;
    case Code::kBusy:
      return EBUSY;
    case Code::kPermission:
      return EACCES;
    default:
      return EIO;
  }
}

inline void* PointerOf(const Result<void*>& result) {
  if (result) return *result;
  errno = ErrnoOf(result.error());
  return nullptr;
}

// Ends the process if the library has no memory for its own tables. An exception may not leave the
// call: C programs cannot catch it, and the code below here does not unwind, so that a lock would
// stay held and a table half changed. The medium is as after any crash.
template <class Body>
auto AbortOnBadAlloc(const char* call, Body body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    Die("%s: the process has no memory for the library's own tables", call);
  }
}

template <class Body>
morsel_code CodeOf(const char* call, Body body) {
  return CodeOf(AbortOnBadAlloc(call, body));
}

// For the calls that make system calls. The thread is not cancelled in the program's callbacks,
// either: there, too, functions of the library are on its stack.
template <class Body>
auto WithoutCancellation(const char* call, Body body) noexcept {
  const DeferredCancellation deferred;
  return AbortOnBadAlloc(call, body);
}

// For calls that may fail inside and succeed as a whole: morsel_last_error() tells of the last call
// that failed, and not of that.
template <class Body>
auto WithoutTrace(const char* call, Body body) noexcept {
  KeepLastError keep;
  auto answer = WithoutCancellation(call, body);
  if (!StatusOf(answer).ok()) keep.LetGo();
  return answer;
}

template <class Body>
morsel_code CodeWithoutCancellation(const char* call, Body body) {
  return CodeOf(Status(WithoutTrace(call, body)));
}

inline OpenPool* Pool(morsel_pool_t* pool) { return reinterpret_cast<OpenPool*>(pool); }
inline OpenMorsel* Morsel(morsel_t* morsel) { return reinterpret_cast<OpenMorsel*>(morsel); }
inline const OpenMorsel* Morsel(const morsel_t* morsel) {
  return reinterpret_cast<const OpenMorsel*>(morsel);
}

inline Status Missing(const char* call, const char* what) {
  return Fail(Code::kInvalidArgument, "%s needs %s, not NULL", call, what);
}

inline Status NoHandle(const char* call) { return Missing(call, "an open handle"); }

/// The progress callback that the thread has set by morsel_set_progress().
image::Progress ProgressOfThread();

}  // namespace morsel::api
