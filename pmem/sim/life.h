// One life of a target: on the medium as a crash left it, recorded, and brought to
// an end even where the code under test dies or does not end.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "pmem/sim/crash_model.h"
#include "pmem/sim/log.h"
#include "pmem/sim/target.h"

namespace morsel::sim {

struct Life {
  std::string failure;  ///< empty: it found what was promised, and ran to its end
  Trace trace;
};

class LifeRunner {
 public:
  LifeRunner(Target& target, bool strict) : target_(target), strict_(strict) {}

  /// Lives on the medium as `visible` says. The log grows by what the target adds. `answers`: those
  /// that are right after recovery; nullptr: any.
  Life Run(const Image& visible, Log& log, const Script& script, uint64_t schedule,
           const std::set<std::string>* answers);

  /// Collects all answers of a life without a crash into `answers`; of one thread.
  void CollectAnswers(const Script& script, std::set<std::string>* answers);

 private:
  std::string RunScript(const Script& script, Log& log, uint64_t schedule);
  std::string RunProtected(const Script& script, Log& log, uint64_t schedule,
                           const std::set<std::string>* answers);
  void RunThread(const std::vector<uint32_t>& operations, Log& log);

  void InspectAtTimes();

  Target& target_;
  bool strict_;
  bool stores_unseen_ = false;
  uint64_t lives_ = 0;
};

}  // namespace morsel::sim
