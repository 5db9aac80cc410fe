// How far storing or loading an image has come, told now and then.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace morsel::pmem::image {

/// Verifying: all is read and held against its sums, and none of it kept.
enum class Activity : uint32_t { kLoading = 1, kStoring = 2, kVerifying = 3 };

struct ProgressNow {
  Activity activity;
  uint64_t done_bytes;   ///< of what is looked at: never less than before
  uint64_t total_bytes;  ///< the same in every call; not 0
};

/// Empty: nobody wants to know.
using Progress = std::function<void(const ProgressNow& now)>;

/// Tells at the beginning, at most every kProgressInterval, and at the end.
/// Threads  one, which is also the one that is told.
class ProgressMeter {
 public:
  ProgressMeter(const Progress& progress, Activity activity, uint64_t total_bytes);

  void Advance(uint64_t bytes);
  /// All of it is done.
  void Finish();

 private:
  void Report(std::chrono::steady_clock::time_point now);

  const Progress& progress_;
  ProgressNow now_;
  std::chrono::steady_clock::time_point next_{};
};

inline constexpr std::chrono::milliseconds kProgressInterval{100};

}  // namespace morsel::pmem::image
