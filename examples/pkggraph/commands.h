// What the program does, command by command. Each prints its answer on standard output.
#pragma once

#include <cstdint>
#include <string>

#include "examples/pkggraph/failure.h"
#include "examples/pkggraph/graph_session.h"

namespace pkggraph {

struct BuildOptions {
  std::string index;   ///< A file; empty: what this machine has.
  bool pause = false;  ///< After the checkpoint, wait for the end of standard input.
};

struct AddOptions {
  uint64_t count = 0;
  uint64_t checkpoint_every = 1000;
  uint64_t threads = 0;  ///< That add in sections, each of which is committed; 0: checkpoints.
};

// The commands that ask, when `timing` is set, tell on standard error how long they took.
//
// Errors  throws Failure; std::bad_alloc when the morsel is full.
ExitCode Build(const Place& place, const BuildOptions& options);
ExitCode Add(const Place& place, const AddOptions& options);
ExitCode Why(const Place& place, bool timing, const std::string& from, const std::string& to);
ExitCode ReverseDepends(const Place& place, bool timing, const std::string& name);
ExitCode Top(const Place& place, bool timing, uint64_t count_max);
ExitCode ShowStat(const Place& place, bool timing);
ExitCode ShowChecksum(const Place& place, bool timing);

}  // namespace pkggraph
