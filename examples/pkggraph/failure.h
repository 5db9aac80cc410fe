// What ends a command early: a sentence, and the exit code that goes with it.
#pragma once

#include <stdexcept>
#include <string>

namespace pkggraph {

enum class ExitCode : int {
  kDone = 0,
  kNo = 1,         // the answer to the question is no
  kUsage = 2,      // the command line is wrong
  kNotFound = 3,   // no such package, or no graph in the pool
  kBadIndex = 4,   // the package index cannot be read or is malformed
  kPoolFailed = 5  // the pool or the morsel failed; its own sentence says how
};

class Failure : public std::runtime_error {
 public:
  Failure(ExitCode code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

}  // namespace pkggraph
