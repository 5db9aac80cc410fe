// Why a command failed, and the exit codes of morselctl.
#pragma once

#include <string>

#include "morsel/morsel.h"

namespace morsel::cli {

/// Thrown by commands; main() prints it.
struct Failure {
  morsel_code code;
  std::string message;
  bool is_done = false;  ///< what was asked for is done, and only the output failed
};

/// The exit codes. Scripts rely on them, so none ever changes its meaning (docs/morselctl.md).
inline constexpr int kExitDone = 0;
inline constexpr int kExitDamage = 1;  ///< the command worked, and has found damage
inline constexpr int kExitUsage = 2;   ///< wrong usage, or MORSEL_INVALID_ARGUMENT
inline constexpr int kExitUnsaid = 3;  ///< the command is done, and could not say so
/// The exit code of any other code is kExitCodes plus the code's number: 11 for MORSEL_NO_SPACE,
/// and so on.
inline constexpr int kExitCodes = 10;

constexpr int ExitCodeOf(morsel_code code) {
  if (code == MORSEL_OK) return kExitDone;
  if (code == MORSEL_INVALID_ARGUMENT) return kExitUsage;
  return kExitCodes + static_cast<int>(code);
}

/// Throws a Failure with the library's message if `code` is an error.
inline void Must(morsel_code code) {
  if (code != MORSEL_OK) throw Failure{code, morsel_last_error()};
}

}  // namespace morsel::cli
