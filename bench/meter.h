// What a stretch of work took.
#pragma once

#include <cstdint>

namespace bench {

/// Lines flushed and fences made. They are there when the program runs under
/// libcount.so (count.cc), which slows it down: rates are taken without it.
struct Flushes {
  uint64_t lines = 0;
  uint64_t fences = 0;
};

/// Whether the program runs under libcount.so.
bool FlushesAreCounted();

/// Adds up the stretches between Start() and Stop() of one thread at a time.
class Meter {
 public:
  void Start();
  /// By the thread that called Start().
  void Stop(uint64_t operations);
  /// Takes what another thread did meanwhile: the time on the wall was the same.
  void AddConcurrent(const Meter& other);
  /// Takes what was done at another time.
  void AddAfter(const Meter& other);

  uint64_t operations() const { return operations_; }
  uint64_t cpu_ns() const { return cpu_ns_; }
  uint64_t wall_ns() const { return wall_ns_; }
  Flushes flushes() const { return flushes_; }

 private:
  void AddWork(const Meter& other);

  uint64_t operations_ = 0;
  uint64_t cpu_ns_ = 0;
  uint64_t wall_ns_ = 0;
  Flushes flushes_;
  uint64_t cpu_start_ns_ = 0;
  uint64_t wall_start_ns_ = 0;
  Flushes flushes_start_;
};

uint64_t WallNs();

}  // namespace bench
