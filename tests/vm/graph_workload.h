// The package graph of examples/pkggraph as a writer is cut off while it grows it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "tests/crash/counter.h"
#include "tests/crash/failure.h"

namespace morsel::crash {

/// What the writer says of each checkpoint before it makes it, and after. In memory that no end of
/// the machine changes.
struct GraphLog {
  struct Said {
    uint64_t nodes = 0;
    uint64_t checksum = 0;  ///< over all that the graph says
  };

  Counter steps;             ///< checkpoints that were completed
  std::array<Said, 2> said;  ///< a checkpoint's place is its number, modulo
  std::atomic<uint64_t> begun = 0;
  std::atomic<uint64_t> completed = 0;
  Failure failure;

  Said& SaidOf(uint64_t checkpoint) { return said[checkpoint % said.size()]; }
};

/// Makes the pool, a directory, with a graph in a snapshot morsel. Gives up into the log.
void MakeGraph(const std::string& pool, GraphLog& log);

/// Adds packages and checkpoints without end. Gives up into the log.
[[noreturn]] void GrowGraph(const std::string& pool, uint64_t seed, GraphLog& log);

/// Empty where the graph is that of the last checkpoint that was completed, or of the one under
/// way, by all that it says; else what is wrong. The log says then which it was.
std::string CheckGraph(const std::string& pool, GraphLog& log);

}  // namespace morsel::crash
