// For tests: what a power cut may leave of a block of memory.
//
// The model: a store reaches the medium at any time after it is made, line by line, each line as
// some prefix of its stores. It has reached the medium once a thread that flushed the line
// afterwards has fenced. A kill takes nothing away: a test that continues with the same recorder
// sees all stores, and the lines stay undecided.
//
// The recorder does not see stores. It compares lines with what it saw last: flushed lines at a
// flush, all lines at Observe() and before it forms images. It distinguishes the values that a line
// had at those instants. Of what changed between two of them it also leaves prefixes, in the order
// of addresses, 8 bytes at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/units.h"
#include "pmem/persist/persist.h"

namespace morsel::pmem {

/// Threads  one call at a time, and no stores meanwhile.
class CrashRecorder {
 public:
  /// Whole lines of memory, in ascending order. Memory between spans is not watched and keeps what
  /// is stored there.
  struct Span {
    char* begin;
    uint64_t size_bytes;
  };

  /// What the spans hold now is durable.
  explicit CrashRecorder(std::vector<Span> spans);

  /// Continues independently from the same state, over the same memory. The copy calls nothing
  /// before its fences.
  CrashRecorder(const CrashRecorder& other);
  CrashRecorder& operator=(const CrashRecorder&) = delete;

  /// A table of flush and fence that records into this object, which must outlive it.
  Persist persist();

  /// Sets what is called when a fence begins. At that moment a crash may still leave all that it
  /// may have left since the last fence. The function must leave the memory as it was.
  void set_before_fence(std::function<void()> before_fence) {
    before_fence_ = std::move(before_fence);
  }

  /// Notes what was stored. Call it where stores to one line are to be distinguished. It reads all
  /// of the memory.
  void Observe();

  /// How many lines may be lost, in part or as a whole, as of the last Observe().
  uint64_t undecided_lines() const { return lines_.size(); }

  /// Puts images that a crash may leave into the memory, one after the other, and calls `visit` for
  /// each. `visit` may store what it likes. Visits all images if there are at most `images_max`;
  /// else the oldest, the newest and a random sample. Restores the memory afterwards.
  void ForEachImage(uint64_t images_max, std::mt19937_64& random,
                    const std::function<void()>& visit);

  /// Calls `visit`, which may store what it likes. Restores the memory afterwards.
  void WithMemory(const std::function<void()>& visit);

 private:
  using Line = std::array<uint64_t, kLineBytes / sizeof(uint64_t)>;
  /// The history of one line. Lines are numbered over all spans.
  struct History {
    uint64_t dropped = 0;      ///< how many values older than the durable one
    std::vector<Line> values;  ///< the durable one first, the visible one last
  };
  /// The index of the chosen value of each undecided line.
  using Choice = std::vector<size_t>;

  char* AddressOf(uint64_t line) const;
  void ObserveLines(uint64_t first, uint64_t count, const char* memory);
  void Flush(const void* address, uint64_t size_bytes);
  void Fence();
  void Put(const Choice& choice, std::mt19937_64* torn);
  Choice Sample(std::mt19937_64& random) const;
  void Restore();

  std::vector<Span> spans_;
  uint64_t line_count_ = 0;
  std::unique_ptr<Line[]> seen_;
  std::map<uint64_t, History> lines_;
  /// For each thread, lines and values that it flushed and has not fenced since.
  std::map<std::thread::id, std::map<uint64_t, uint64_t>> flushed_;
  std::function<void()> before_fence_;
};

}  // namespace morsel::pmem
