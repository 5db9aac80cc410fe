// Errors as values: one code, one sentence, no allocation, no exception.
//
// The sentence that goes with a failure (what was tried, on what, why, what to
// do) is kept in a fixed text of the failing thread, so that a Status stays
// one word. It is valid until the thread's next failure.
#pragma once

#include <cstdlib>
#include <optional>
#include <utility>

namespace morsel {

/// What went wrong. The values are those of `morsel_code` in <morsel/morsel.h>.
enum class Code : int {
  kOk = 0,
  kNoSpace,           ///< The medium, the pool, the morsel or a table is full.
  kInvalidArgument,   ///< The call can never work as it was written.
  kNotFound,          ///< There is nothing of that name.
  kExists,            ///< There is something of that name already.
  kBusy,              ///< Somebody else has it open, or this process is a fork.
  kAddressTaken,      ///< The recorded address range is in use in this process.
  kCorrupt,           ///< Bytes on the medium are not what was written.
  kVersion,           ///< Written by a version that this library does not know.
  kPermission,        ///< The operating system or the handle forbids it.
  kIo,                ///< The medium failed.
  kUnsupported,       ///< Right in itself, but not here or not yet.
  kNoMemory,          ///< The process has no memory for it.
  kAddressExhausted,  ///< The address window has no room for the range.
};

/// Success, or a code whose sentence LastError() holds.
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

/// A value, or the code of why there is none. Named after std::expected;
/// trivially copyable where T is.
template <class T>
class [[nodiscard]] Result {
 public:
  constexpr Result(T value) : value_(std::move(value)) {}  // NOLINT: as std::expected
  constexpr Result(Status status) : code_(MustBeError(status.code())) {}  // NOLINT
  constexpr Result(Code code) : code_(MustBeError(code)) {}               // NOLINT

  constexpr bool has_value() const { return value_.has_value(); }
  constexpr explicit operator bool() const { return has_value(); }
  /// kOk where there is a value.
  constexpr Code error() const { return code_; }
  constexpr Status status() const { return code_; }

  /// The value. Where there is none, the process ends.
  constexpr T& value() & { return MustHold(), *value_; }
  constexpr const T& value() const& { return MustHold(), *value_; }
  /// By value, so that `for (x : *Make())` does not outlive what it walks over.
  constexpr T value() && { return MustHold(), *std::move(value_); }
  constexpr T& operator*() & { return value(); }
  constexpr const T& operator*() const& { return value(); }
  constexpr T operator*() && { return std::move(*this).value(); }
  constexpr T* operator->() { return &value(); }
  constexpr const T* operator->() const { return &value(); }

 private:
  static constexpr Code MustBeError(Code code) {
    if (code == Code::kOk) std::abort();  // success without a value is a mistake of the callee
    return code;
  }
  constexpr void MustHold() const {
    if (!value_.has_value()) std::abort();
  }

  std::optional<T> value_;
  Code code_ = Code::kOk;
};

}  // namespace morsel
