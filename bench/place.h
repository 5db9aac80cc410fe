// Where an allocator keeps its memory, and how a benchmark ends that cannot go on.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace bench {

struct Place {
  std::string folder;  // empty, on what stands in for persistent memory
  uint64_t size_bytes;
  uint64_t checkpoints = 100;  // that a snapshot morsel has had before it is measured
};

/// What was tried, and why it failed. A benchmark has no use for half a result.
[[noreturn]] inline void Fail(const char* tried, const char* why) {
  std::fprintf(stderr, "%s: %s\n", tried, why);
  std::exit(1);
}

}  // namespace bench
