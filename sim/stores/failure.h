// What is told of a crash that the code under test does not get over.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/model/crash_model.h"
#include "sim/stores/log.h"
#include "sim/stores/target.h"

namespace morsel::sim {

/// A store that was visible when the crash came and is not in the image.
struct LostStore {
  const void* address;
  uint64_t value;
  const void* pc;
};

struct CrashPoint {
  bool kill = false;
  uint64_t event = 0;           ///< it comes after so many events of the incarnation
  const void* pc = nullptr;     ///< of the last store before it; nullptr: the log grew
  std::vector<LostStore> lost;  ///< of a power cut
  uint64_t pick = 0;            ///< how the incarnation after it goes on
};

struct Failure {
  std::string target;
  std::string message;
  uint64_t seed = 0;
  uint64_t schedule = 0;
  Script script;                    ///< of the first incarnation
  std::vector<CrashPoint> crashes;  ///< one in each incarnation
  Image image;                      ///< what the incarnation that failed found
  Log log;                          ///< what it was promised
  std::string kept;                 ///< the file that has the image; empty: none
};

/// In words, with source lines.
std::string Describe(const Failure& failure, Target& target);

/// Writes the failing image and its log to a file of its own; answers the path, or an empty one
/// where that cannot be done.
std::string Keep(const Failure& failure);

/// What MORSEL_SIM_REPLAY names, if it was kept of this target.
bool Replay(const std::string& target, Image* image, Log* log, uint64_t* pick);

}  // namespace morsel::sim
