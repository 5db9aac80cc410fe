// What is explored: code that keeps something on the simulated medium, and an
// oracle that knows what must be found there after a crash.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/model/crash_model.h"
#include "sim/stores/log.h"

namespace morsel::sim {

/// What each thread does, by numbers that the target gives to its operations. The threads begin
/// after recovery.
using Script = std::vector<std::vector<uint32_t>>;

/// An incarnation is what happens between two crashes, or before the first: Recover(), a script,
/// Forget(). In every incarnation the medium is at the same address, and flushed and fenced through
/// Recorder::Get().persist().
class Target {
 public:
  virtual ~Target() = default;

  virtual std::string Name() const = 0;
  virtual std::string NameOf(uint32_t operation) const = 0;
  virtual std::vector<Span> Spans() = 0;

  /// Writes what the first incarnation finds. It counts as durable, and is not recorded.
  virtual void Prepare() = 0;

  /// Opens what is on the medium, and answers a message where it is not what the log promises. The
  /// log is empty in the first incarnation; what is added to it is promised from then on.
  virtual std::string Recover(Log& log) = 0;

  /// The explorer logs when it began and that it returned.
  virtual void Run(uint32_t operation, Log& log) = 0;

  /// Looks at whatever is left to be looked at when an incarnation has gone on as far as it will;
  /// may change what it likes: no crash comes any more. Empty if all is well.
  virtual std::string Verify(const Log&) { return {}; }

  /// Gives up what is volatile, as the end of the process does; nothing that it stores counts. Not
  /// `orderly`: the process ended in a call, so there may be no telling what can be destroyed.
  virtual void Forget(bool orderly) = 0;

  /// How an incarnation after a crash goes on, until the next crash: one way of many, as `pick`
  /// decides.
  virtual Script GoOn(uint64_t /*pick*/) { return {}; }

  /// What there is to know for whoever asks, in words; called where Recover() may have been, and
  /// after every operation. Not empty: after a crash it must be what it was after some operation,
  /// or before the first, in an incarnation of one thread that did not crash.
  virtual std::string Answers() { return {}; }
};

}  // namespace morsel::sim
