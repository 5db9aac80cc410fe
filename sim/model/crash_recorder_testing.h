// What a power cut may leave of a block of memory.
//
// The model: a store reaches the medium at any time after it is made, line by
// line, each line as some prefix of its stores. It must have reached it once the
// thread that flushed its line afterwards has fenced. A kill takes nothing away:
// who goes on with the same recorder sees all stores, and the lines stay
// undecided.
//
// The recorder does not see stores. It compares lines with what it saw last: at a
// flush those that are flushed, at Observe() and before images are formed all of
// them. The values that a line had at those instants are told apart; of what
// changed between two of them also prefixes are left, in the order of addresses,
// 8 bytes at a time.
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

/// Threads  one call at a time, and none that stores meanwhile.
class CrashRecorder {
 public:
  /// Whole lines of memory, in ascending order. What lies between spans is not watched: it keeps
  /// what is stored there.
  struct Span {
    char* begin;
    uint64_t size_bytes;
  };

  /// What the spans hold now is durable.
  explicit CrashRecorder(std::vector<Span> spans);

  /// Goes on from the same state over the same memory, by itself; nothing is called before its
  /// fences.
  CrashRecorder(const CrashRecorder& other);
  CrashRecorder& operator=(const CrashRecorder&) = delete;

  /// Records into this object, which must outlive it.
  Persist persist();

  /// Called when a fence begins: all that a crash since the last fence may have left can still be
  /// left. The memory must be on return what it was.
  void set_before_fence(std::function<void()> before_fence) {
    before_fence_ = std::move(before_fence);
  }

  /// Takes note of what was stored. Call it where stores to one line are to be told apart: it reads
  /// all of the memory.
  void Observe();

  /// How many lines may be lost in part or whole; as of the last Observe().
  uint64_t undecided_lines() const { return lines_.size(); }

  /// Puts images that a crash may leave into the memory, one after the other, and calls `visit`
  /// for each, which may store what it likes. All images if they are no more than `images_max`;
  /// else the oldest, the newest, and others as `random` decides. Afterwards the memory is what
  /// it was.
  void ForEachImage(uint64_t images_max, std::mt19937_64& random,
                    const std::function<void()>& visit);

  /// Calls `visit`, which may store what it likes. Afterwards the memory is what it was.
  void WithMemory(const std::function<void()>& visit);

 private:
  using Line = std::array<uint64_t, kLineBytes / sizeof(uint64_t)>;
  /// Of a line, by its number: counted over all spans.
  struct History {
    uint64_t dropped = 0;      ///< values older than the durable one
    std::vector<Line> values;  ///< the durable one first, the visible one last
  };
  /// For each undecided line, which of its values is taken.
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
  /// Line and value flushed by a thread that has not fenced since.
  std::map<std::thread::id, std::map<uint64_t, uint64_t>> flushed_;
  std::function<void()> before_fence_;
};

}  // namespace morsel::pmem
