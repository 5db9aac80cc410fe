// Why a command failed, and the exit codes of morselctl.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"
#include "base/result.h"

namespace morsel::cli {

/// Thrown by commands; main() prints it.
struct Failure {
  Code code;
  std::string message;
};

/// The exit codes. Scripts rely on them, so none ever changes its meaning (docs/morselctl.md).
inline constexpr int kExitDone = 0;
inline constexpr int kExitDamage = 1;  ///< the command worked, and has found damage
inline constexpr int kExitUsage = 2;   ///< wrong usage, or kInvalidArgument
/// The exit code of any other Code is kExitCodes plus the code's number: 11 for kNoSpace, and so
/// on.
inline constexpr int kExitCodes = 10;

constexpr int ExitCodeOf(Code code) {
  if (code == Code::kOk) return kExitDone;
  if (code == Code::kInvalidArgument) return kExitUsage;
  return kExitCodes + static_cast<int>(code);
}

/// Throws a Failure with the library's message if `status` is an error.
inline void Must(Status status) {
  if (!status.ok()) throw Failure{status.code(), LastError()};
}

/// Returns the value, or throws a Failure with the library's message.
template <class T>
T Must(Result<T> result) {
  if (!result) throw Failure{result.error(), LastError()};
  return *std::move(result);
}

}  // namespace morsel::cli
