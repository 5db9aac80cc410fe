// For tests: power cuts for programs that use the library as its users do, installed or shared.
//
// A program that is linked with this has definitions of its own of the functions by which libpmem2
// says how to flush and fence, and those come first. So the library flushes and fences through
// them, and they record that as events of the crash model (sim/model/crash_model.h). Of one range
// of memory, a cut leaves what the model allows, and ends the process at once. The next process
// opens the pool and finds that.
//
// Stores are not announced: the lines of a flush are compared with what was seen last, all others
// when the power is cut or the process killed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "sim/model/crash_recorder_testing.h"

namespace morsel::sim {

/// Threads  any may flush and fence. One watches, and it cuts or kills while no other one stores.
class PowerCut {
 public:
  /// The one of the process.
  static PowerCut& Get();

  /// Watches [begin, begin + size_bytes), whole lines that a file backs, e.g. a fine morsel. What
  /// is visible there is durable.
  void Watch(void* begin, uint64_t size_bytes);
  /// Watches the range after a Kill(kept) in another process: what was undecided then still is.
  /// Call it before the pool is opened, which stores and flushes as well: nothing need be mapped.
  void WatchAfterKill(void* begin, uint64_t size_bytes, const std::string& kept);

  /// Cuts the power; only what is durable is left. Ends the process with status 0.
  [[noreturn]] void Cut();
  /// The same, but leaves the image with this number of those that ForEachChoice() visits by the
  /// seed of the test. If there are fewer images, it is the one with what is durable.
  [[noreturn]] void CutLeaving(uint64_t image);
  /// Ends the process with status 0; all that it stored stays visible. Writes what is undecided
  /// into the file `kept`.
  [[noreturn]] void Kill(const std::string& kept);

  /// Sets what is called when a fence begins, before it makes anything durable. Other threads may
  /// flush and fence meanwhile. Set it before they do.
  void set_before_fence(std::function<void()> call) { before_fence_ = std::move(call); }

  std::atomic<uint64_t> flushes = 0;
  std::atomic<uint64_t> fences = 0;

  // Called in libpmem2's place.
  void Flush(const void* address, uint64_t size_bytes);
  void Fence();

 private:
  std::mutex mutex_;
  std::unique_ptr<pmem::CrashRecorder> recorder_;  ///< nullptr: nothing is watched yet
  std::function<void()> before_fence_;
};

}  // namespace morsel::sim
