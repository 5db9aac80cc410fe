// Errors as values: a code and a message, without allocations or exceptions.
//
// The message of a failure (what was tried, on what, why it failed, what to do) is kept in a fixed
// buffer of the failing thread, so that a Status stays one word. It is valid until the thread's
// next failure.
#pragma once

#include <cstdlib>
#include <optional>
#include <utility>

// X11, for one, makes this word a macro.
#pragma push_macro("Status")
#undef Status

extern "C" {
/// Ends the process because a Result has no value, with the message of the failure that it holds.
[[gnu::noreturn, gnu::cold]] void morsel_no_value(int code);
}

namespace morsel {

/// What went wrong. The values equal those of `morsel_code` in <morsel/morsel.h>.
enum class Code : int {
  kOk = 0,
  kNoSpace,           ///< The medium, the pool, the morsel or a table is full.
  kInvalidArgument,   ///< The call can never work as it was written.
  kNotFound,          ///< Nothing has that name.
  kExists,            ///< Something has that name already.
  kBusy,              ///< It is open elsewhere, or this process is a forked child.
  kAddressTaken,      ///< The recorded address range is in use in this process.
  kCorrupt,           ///< The medium's bytes are not those that were written.
  kVersion,           ///< It was written by a version unknown to this library.
  kPermission,        ///< The operating system or the handle forbids it.
  kIo,                ///< The medium failed.
  kUnsupported,       ///< The call is valid, but does not work here or yet.
  kNoMemory,          ///< The process cannot get the memory.
  kAddressExhausted,  ///< The address window has no room for the range.
};

/// Success, or the code of a failure. LastError() returns the failure's message.
class [[nodiscard]] Status {
 public:
  constexpr Status() = default;
  constexpr Status(Code code) : code_(code) {}  // NOLINT: a code is a status
  constexpr bool ok() const { return code_ == Code::kOk; }
  constexpr Code code() const { return code_; }
  friend constexpr bool operator==(Status a, Status b) { return a.code_ == b.code_; }

 private:
  Code code_ = Code::kOk;
};

/// A value, or the code that says why there is none. Its functions have the names of std::expected.
/// It is trivially copyable if T is.
template <class T>
class [[nodiscard]] Result {
 public:
  constexpr Result(T value) : value_(std::move(value)) {}  // NOLINT: as std::expected
  constexpr Result(Status status) : code_(MustBeError(status.code())) {}  // NOLINT
  constexpr Result(Code code) : code_(MustBeError(code)) {}               // NOLINT

  constexpr bool has_value() const { return value_.has_value(); }
  constexpr explicit operator bool() const { return has_value(); }
  /// The code of the failure; kOk if there is a value.
  constexpr Code error() const { return code_; }
  constexpr Status status() const { return code_; }

  /// The value. Aborts the process if there is none, and prints the message of the calling thread's
  /// last failure before.
  constexpr T& value() & { return MustHold(), *value_; }
  constexpr const T& value() const& { return MustHold(), *value_; }
  /// Returns by value, so that `for (x : *Make())` iterates over something that still exists.
  constexpr T value() && { return MustHold(), *std::move(value_); }
  constexpr T& operator*() & { return value(); }
  constexpr const T& operator*() const& { return value(); }
  constexpr T operator*() && { return std::move(*this).value(); }
  constexpr T* operator->() { return &value(); }
  constexpr const T* operator->() const { return &value(); }

 private:
  static constexpr Code MustBeError(Code code) {
    if (code == Code::kOk) std::abort();  // success needs a value
    return code;
  }
  constexpr void MustHold() const {
    if (!value_.has_value()) morsel_no_value(static_cast<int>(code_));
  }

  std::optional<T> value_;
  Code code_ = Code::kOk;
};

}  // namespace morsel

#pragma pop_macro("Status")
