// Keeps the advice for a morsel's huge pages up to date.
#pragma once

#include <unistd.h>

#include <atomic>
#include <mutex>

#include "base/mutex.h"
#include "os/memory/huge_advice.h"
#include "os/memory/huge_thread.h"

namespace morsel::os {

/// A program that fills a large block makes no call meanwhile, so that the process' HugeThread
/// looks. What it has not seen a checkpoint sees.
///
/// Three mutexes, in this order: of HugeWatch, held while somebody looks at the frames or resizes
/// them; of HugeAdvice, which calls of the heap take; of HugeThread, for what is to be looked at.
///
/// Ownership  the frames outlive it.
/// Threads    any. Whoever resizes the frames holds Pause().
class HugeWatch final : private HugeWatched {
 public:
  explicit HugeWatch(const Frames& frames) : advice_(frames) { HugeThread::OfProcess().Add(*this); }
  /// In a forked child, which has neither the frames nor the thread, it does nothing.
  ~HugeWatch() {
    if (process_ == getpid()) HugeThread::OfProcess().Remove(*this);
  }
  HugeWatch(const HugeWatch&) = delete;
  HugeWatch& operator=(const HugeWatch&) = delete;

  /// Nobody looks while this is held.
  [[nodiscard]] std::unique_lock<Mutex> Pause() { return std::unique_lock(look_mutex_); }
  /// As HugeAdvice::Resized(). The caller holds Pause().
  void Resized(uint64_t before) { advice_.Resized(before); }

  // As the functions of HugeAdvice. They wait for no look.
  void GaveBack(uint64_t offset, uint64_t size_bytes) { advice_.GaveBack(offset, size_bytes); }
  void ExpectDense(uint64_t offset, uint64_t size_bytes) {
    advice_.ExpectDense(offset, size_bytes);
  }
  void ExpectAnything(uint64_t offset, uint64_t size_bytes) {
    const uint64_t new_bytes = advice_.ExpectAnything(offset, size_bytes);
    if (new_bytes > 0) HugeThread::OfProcess().Wake(*this, new_bytes);
  }

  /// What was touched all over becomes huge, as long as that can be done: a checkpoint begins to
  /// track it.
  void LookAtAll();

  /// How often anybody has looked.
  uint64_t looks() const { return looks_.load(); }

 private:
  bool Look() override;

  Mutex look_mutex_{LockRank::kHugeLook};
  HugeAdvice advice_;
  std::atomic<uint64_t> looks_{0};
  pid_t process_ = getpid();
};

}  // namespace morsel::os
