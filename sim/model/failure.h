// The description of a crash from which the code under test does not recover. It is the same for
// all media.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace morsel::sim {

/// What each thread does, as numbers that the target gives to its operations. The threads begin
/// after recovery.
using Script = std::vector<std::vector<uint32_t>>;

/// Something that code did, in words, and the return addresses of its callers, innermost first.
struct Deed {
  std::string words;
  std::vector<const void*> callers;
};

/// A crash. It ended an incarnation.
struct Crash {
  bool kill = false;
  std::string after;       ///< how much the incarnation had done, e.g. "31 events"
  Deed newest;             ///< the last of it; without words: none
  std::vector<Deed> lost;  ///< of a power cut
  Script goes_on;          ///< what the next incarnation does after recovery
};

struct Failure {
  std::string target;
  std::string message;
  uint64_t seed = 0;
  uint64_t schedule = 0;
  Script script;      ///< of the first incarnation
  std::string fault;  ///< in the first incarnation; empty: none
  std::vector<Crash> crashes;
  std::string promised;  ///< empty: it is in what was kept
  std::string kept;      ///< where what the failing incarnation found is; empty: nowhere
  std::string text;      ///< all of that, with source lines, once it has been reported
};

/// Describes the failure in words, with source lines. `name_of` names operations.
std::string Describe(const Failure& failure,
                     const std::function<std::string(uint32_t operation)>& name_of);

/// The beginning of the name of a new file or folder for what a failing incarnation found.
std::string PathToKeep(const std::string& target);

}  // namespace morsel::sim
