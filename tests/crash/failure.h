// How a writer ends when a call fails that must succeed.
#pragma once

#include <string>

#include "morsel/morsel.h"

namespace morsel::crash {

/// The message of the failure, in a writer's log; empty if there was none.
struct Failure {
  char text[512] = {};
};

/// Writes the message into the log and ends the process.
[[noreturn]] void Fail(Failure& failure, const std::string& message);

/// Calls Fail() unless the call succeeded.
void Must(Failure& failure, const char* call, morsel_code code);

/// A message about this thread's last failed call, e.g. "morsel_open: MORSEL_BUSY: pool ...".
std::string Message(const char* call, morsel_code code);

}  // namespace morsel::crash
