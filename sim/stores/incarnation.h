// Runs one incarnation of a target on the medium as a crash left it, and records it. It returns
// even where the code under test dies or never ends.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "sim/model/crash_model.h"
#include "sim/stores/log.h"
#include "sim/stores/target.h"

namespace morsel::sim {

struct Incarnation {
  std::string failure;  ///< empty: it found what was promised, and completed
  Trace trace;
  /// The answers after recovery and after each operation. Empty for several threads.
  std::set<std::string> answers;
};

class IncarnationRunner {
 public:
  IncarnationRunner(Target& target, bool strict) : target_(target), strict_(strict) {}

  /// Puts `visible` on the medium and runs the script on it. The target adds to the log. `right`:
  /// the answers that are correct after recovery; nullptr: any.
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
  bool left_threads_ = false;  ///< threads of this incarnation did not end
  bool stores_unseen_ = false;
  uint64_t incarnations_ = 0;
};

}  // namespace morsel::sim
