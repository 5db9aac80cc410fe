// The process that works on a heap, by 1 to 8 threads, until it is killed.
#pragma once

#include <cstdint>
#include <string>

#include "tests/crash/heap_log.h"

namespace morsel::crash {

/// What a writer does wrong on purpose, so that the checker can be tried.
enum class HeapLie {
  kNone,
  kFreesBeforeUnlinking,  ///< and is killed in between
  kForgetsABlock,         ///< and is killed
  kWritesAfterFreeing,    ///< where another object may be by then
};

/// Opens the heap and does a mixed workload, closing and reopening now and then, for so many
/// sessions; 0: without end.
/// Returns  the exit status; GiveUp() ends it too.
int RunHeapWriter(const std::string& path, uint64_t seed, uint64_t sessions, HeapLie lie,
                  HeapLog& log);

}  // namespace morsel::crash
