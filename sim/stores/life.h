// One life of a target: on the medium as a crash left it, recorded, and brought to
// an end even where the code under test dies or does not end.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "sim/model/crash_model.h"
#include "sim/stores/log.h"
#include "sim/stores/target.h"

namespace morsel::sim {

struct Life {
  std::string failure;  ///< empty: it found what was promised, and ran to its end
  Trace trace;
  /// Those after recovery and after each operation; of a life of several threads, none.
  std::set<std::string> answers;
};

class LifeRunner {
 public:
  LifeRunner(Target& target, bool strict) : target_(target), strict_(strict) {}

  /// Lives on the medium as `visible` says. The log grows by what the target adds. `right`: the
  /// answers that may be given after recovery; nullptr: any.
  Life Run(const Image& visible, Log& log, const Script& script, uint64_t schedule,
           const std::set<std::string>* right);

 private:
  std::string RunProtected(const Script& script, Log& log, uint64_t schedule,
                           const std::set<std::string>* right, Life* life);
  std::string RunThreads(const Script& script, Log& log, uint64_t schedule);
  void RunOperation(uint32_t operation, Log& log);

  void InspectAtTimes();

  Target& target_;
  bool strict_;
  bool left_threads_ = false;  ///< of this life: they did not come to their end
  bool stores_unseen_ = false;
  uint64_t lives_ = 0;
};

}  // namespace morsel::sim
