// How a writer gives up: a call that must succeed did not.
#pragma once

#include <string>

#include "morsel/morsel.h"

namespace morsel::crash {

/// In a writer's log.
struct Failure {
  char text[512] = {};
};

/// Ends the process, with the message in the log.
[[noreturn]] void Fail(Failure& failure, const std::string& message);

/// Gives up unless the call succeeded.
void Must(Failure& failure, const char* call, morsel_code code);

/// e.g. "morsel_open: MORSEL_BUSY: pool ...": of this thread's last call that failed.
std::string Message(const char* call, morsel_code code);

}  // namespace morsel::crash
