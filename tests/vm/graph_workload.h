// The package graph of examples/pkggraph, with a writer that is killed while it adds to it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "tests/crash/counter.h"
#include "tests/crash/failure.h"

namespace morsel::crash {

/// The writer's log of each checkpoint, before and after it is made. It lies in memory that
/// survives every end of the machine.
struct GraphLog {
  struct Checkpoint {
    uint64_t nodes = 0;
    uint64_t checksum = 0;  ///< over everything in the graph
  };

  Counter steps;                          ///< checkpoints that were completed
  std::array<Checkpoint, 2> checkpoints;  ///< checkpoints by number, modulo 2
  std::atomic<uint64_t> begun = 0;
  std::atomic<uint64_t> completed = 0;
  Failure failure;

  Checkpoint& CheckpointOf(uint64_t checkpoint) {
    return checkpoints[checkpoint % checkpoints.size()];
  }
};

/// Makes a directory pool with a graph in a snapshot morsel. Calls Fail() on failure.
void MakeGraph(const std::string& pool, GraphLog& log);

/// Adds packages and makes checkpoints without end. Calls Fail() on failure.
[[noreturn]] void GrowGraph(const std::string& pool, uint64_t seed, GraphLog& log);

/// Returns empty if the graph is exactly that of the last completed checkpoint or of the one under
/// way; else what is wrong. Afterwards the log says which of the two it was.
std::string CheckGraph(const std::string& pool, GraphLog& log);

}  // namespace morsel::crash
