// What a failing incarnation found, in a file: for a debugger, which runs that incarnation only.
#pragma once

#include <cstdint>
#include <string>

#include "sim/model/crash_model.h"
#include "sim/stores/log.h"

namespace morsel::sim {

struct KeptImage {
  Image image;
  Log log;            ///< what had been promised
  uint64_t pick = 0;  ///< chooses how the incarnation continues after recovery
};

/// Writes it to a new file. Returns the path, or an empty one if that fails.
std::string Keep(const std::string& target, const KeptImage& kept);

/// Reads the file that MORSEL_SIM_REPLAY names. Returns false unless it was kept for this target.
bool Replay(const std::string& target, KeptImage* kept);

}  // namespace morsel::sim
