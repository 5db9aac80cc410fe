// The description of a crash from which the code under test does not recover.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/model/crash_model.h"
#include "sim/stores/log.h"
#include "sim/stores/target.h"

namespace morsel::sim {

/// A store that was visible at the crash and is missing from the image.
struct LostStore {
  const void* address;
  uint64_t value;
  const void* pc;
};

struct CrashPoint {
  bool kill = false;
  uint64_t event = 0;           ///< how many events of the incarnation precede it
  const void* pc = nullptr;     ///< of the last store before it; nullptr: a log entry
  std::vector<LostStore> lost;  ///< of a power cut
  uint64_t pick = 0;            ///< chooses how the next incarnation continues
};

struct Failure {
  std::string target;
  std::string message;
  uint64_t seed = 0;
  uint64_t schedule = 0;
  Script script;                    ///< of the first incarnation
  std::vector<CrashPoint> crashes;  ///< one in each incarnation
  Image image;                      ///< what the failing incarnation found
  Log log;                          ///< what had been promised
  std::string kept;                 ///< the file with the image; empty: none
};

/// Describes the failure in words, with source lines.
std::string Describe(const Failure& failure, Target& target);

/// Writes the failing image and its log to a new file. Returns the path, or an empty one if that
/// fails.
std::string Keep(const Failure& failure);

/// Reads the file that MORSEL_SIM_REPLAY names. Returns false unless it was kept for this target.
bool Replay(const std::string& target, Image* image, Log* log, uint64_t* pick);

}  // namespace morsel::sim
