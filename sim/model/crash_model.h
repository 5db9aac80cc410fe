// The crash model, its terms, and the small types on which the simulator is built.
//
// DAX. A store is visible at once and durable some time later. Stores reach the
// medium in any order, cache line by cache line, each line as some prefix of its
// stores since it was durable last; 8 aligned bytes are never torn. What a line
// held when a thread flushed it is durable once the same thread has fenced
// afterwards. Until then it is undecided: any prefix that goes at least as far as
// the durable one may be there. A crash comes between any two stores, of recovery
// too.
//
// Kill, then power cut. A kill (SIGKILL, abort, a bug) takes nothing away from
// memory: recovery runs on all visible stores while their lines stay undecided,
// and what the dead process had flushed without a fence stays so, since the fence
// will never come. Then power fails, and lines from before the kill may go back to
// any prefix that was undecided then, unless recovery has flushed and fenced them.
//
// SSD. A write to a file is durable once a sync that began after it has succeeded. Until then it
// may be lost, kept, or torn at 512-byte boundaries, in any order with other such writes. A failed
// sync promises nothing about what was written since the last successful one, and a sync that is
// repeated proves nothing. Names are durable after a sync of their directory. A file system keeps
// names that it could not write, so a later sync that succeeds makes them durable. This part of the
// model is about system calls, not stores. It is implemented behind os/file/system_calls.h.
//
// A trace is what a run of the code under test did: stores, flushes, fences and additions to the
// log, in the order in which they were made. All images that a crash may leave follow from a trace,
// so the code under test runs once and has ended before the first image is opened.
//
//   medium   the watched bytes, one span of memory or several, as the code sees them
//   line     64 bytes of it, numbered over all spans
//   image    what a crash left: the medium as it was prepared, and the lines that differ
//   log      what the workload said it had begun, had done, had found: the promises
//            that an image is held against
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "base/units.h"

namespace morsel::sim {

inline constexpr uint64_t kWordBytes = sizeof(uint64_t);
inline constexpr uint64_t kWordsPerLine = kLineBytes / kWordBytes;

using LineNumber = uint64_t;
using Line = std::array<uint64_t, kWordsPerLine>;

/// Whole lines of memory.
struct Span {
  char* begin;
  uint64_t size_bytes;
};

/// The lines that differ from the prepared medium. It may contain other lines, too.
using Image = std::map<LineNumber, Line>;

struct Event {
  enum class Kind : uint8_t { kStore, kFlush, kFence, kLog };
  Kind kind;
  uint8_t thread;
  /// Store: the word, counted over all spans. Flush: the first line.
  uint64_t place;
  /// Store: what the word holds afterwards. Flush: how many lines. Log: how many entries.
  uint64_t value;
  /// The place in the code; nullptr for a store by code without hooks.
  const void* pc;
};
using Trace = std::vector<Event>;

}  // namespace morsel::sim
