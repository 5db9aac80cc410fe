// Why a command could not be done, and the exit code that says so.
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

/// What the process ends with. They are scripts' to rely on: none ever changes its meaning.
inline constexpr int kExitDone = 0;
inline constexpr int kExitDamage = 1;  ///< `check`, `verify` or `salvage` found something wrong
inline constexpr int kExitUsage = 2;   ///< kInvalidArgument too
/// Of every other code: kExitCodes and the code's number, 11 (kNoSpace) and on.
inline constexpr int kExitCodes = 10;

constexpr int ExitCodeOf(Code code) {
  if (code == Code::kOk) return kExitDone;
  if (code == Code::kInvalidArgument) return kExitUsage;
  return kExitCodes + static_cast<int>(code);
}

/// Throws what the library says where it failed.
inline void Must(Status status) {
  if (!status.ok()) throw Failure{status.code(), LastError()};
}

template <class T>
T Must(Result<T> result) {
  if (!result) throw Failure{result.error(), LastError()};
  return *std::move(result);
}

}  // namespace morsel::cli
