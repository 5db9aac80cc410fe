// What the explorer explores: code that keeps something on the simulated medium, and an oracle that
// knows what must be there after a crash.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/model/crash_model.h"
#include "sim/model/failure.h"
#include "sim/stores/log.h"

namespace morsel::sim {

/// An incarnation is what happens before the first crash or between two crashes: Recover(), a
/// script, Forget(). In every incarnation the medium is at the same address. The target flushes and
/// fences it by Recorder::Get().persist().
class Target {
 public:
  virtual ~Target() = default;

  virtual std::string Name() const = 0;
  virtual std::string NameOf(uint32_t operation) const = 0;
  virtual std::vector<Span> Memory() = 0;

  /// Writes what the first incarnation finds. That counts as durable and is not recorded.
  virtual void Prepare() = 0;

  /// Opens what is on the medium. Returns a message where it is not what the log promises. The log
  /// is empty in the first incarnation; what Recover() adds to it is promised from then on.
  virtual std::string Recover(Log& log) = 0;

  /// Does one operation. The explorer logs that it began and that it returned.
  virtual void Perform(uint32_t operation, Log& log) = 0;

  /// Checks whatever is left to check at the end of an incarnation. It may change the medium, since
  /// no crash follows. Returns empty if all is well.
  virtual std::string Verify(const Log&) { return {}; }

  /// Drops what is volatile, as the end of the process does. What it stores does not count. If not
  /// `orderly`, the process ended inside a call, so destructors may not be safe to run.
  virtual void Forget(bool orderly) = 0;

  /// The script of an incarnation after a crash. `pick` chooses one of many.
  virtual Script GoOn(uint64_t /*pick*/) { return {}; }

  /// What the structure answers its users, in words. It is called after Recover() and after every
  /// operation. Where it is not empty, the answer after a crash must be one that an incarnation of
  /// one thread, up to that crash, gave after some operation or before the first.
  virtual std::string Answers() { return {}; }
};

}  // namespace morsel::sim
