// One incarnation of a target: on the medium as a crash left it, recorded, and brought to
// an end even where the code under test dies or does not end.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "sim/model/crash_model.h"
#include "sim/stores/log.h"
#include "sim/stores/target.h"

namespace morsel::sim {

struct Incarnation {
  std::string failure;  ///< empty: it found what was promised, and ran to its end
  Trace trace;
  /// Those after recovery and after each operation; of an incarnation of several threads, none.
  std::set<std::string> answers;
};

class IncarnationRunner {
 public:
  IncarnationRunner(Target& target, bool strict) : target_(target), strict_(strict) {}

  /// Runs on the medium as `visible` says. The log grows by what the target adds. `right`: the
  /// answers that may be given after recovery; nullptr: any.
  Incarnation Run(const Image& visible, Log& log, const Script& script, uint64_t schedule,
                  const std::set<std::string>* right);

 private:
  std::string RunProtected(const Script& script, Log& log, uint64_t schedule,
                           const std::set<std::string>* right, Incarnation* incarnation);
  std::string RunThreads(const Script& script, Log& log, uint64_t schedule);
  void RunOperation(uint32_t operation, Log& log);

  void InspectAtTimes();

  Target& target_;
  bool strict_;
  bool left_threads_ = false;  ///< of this incarnation: they did not come to their end
  bool stores_unseen_ = false;
  uint64_t incarnations_ = 0;
};

}  // namespace morsel::sim
