// How a writer gives up: a call that must succeed did not.
#pragma once

#include <string>

#include "morsel/morsel.h"

namespace morsel::crash {

/// In a writer's log.
struct Complaint {
  char text[512] = {};
};

/// Ends the process, with the sentence in the log.
[[noreturn]] void GiveUp(Complaint& complaint, const std::string& sentence);

/// Gives up unless the call succeeded.
void Must(Complaint& complaint, const char* call, morsel_code code);

/// e.g. "morsel_open: MORSEL_BUSY: pool ...": of this thread's last call that failed.
std::string Sentence(const char* call, morsel_code code);

}  // namespace morsel::crash
