// Reports how far storing or loading an image has come.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace morsel::image {

/// What takes so long. Verifying reads all, holds it against its sums, and keeps none of it.
enum class Activity : uint32_t { kLoading = 1, kStoring = 2, kVerifying = 3 };

struct ProgressNow {
  Activity activity;
  uint64_t done_bytes;   ///< of total_bytes; never less than in the call before
  uint64_t total_bytes;  ///< the same in every call of one activity; not 0
};

/// A function that is called with the progress. Empty: nobody wants to know.
using Progress = std::function<void(const ProgressNow& now)>;

/// Calls a function at the beginning, then at most once every kProgressInterval, and at the end. It
/// never calls it if there is nothing to do.
/// Ownership  `progress` outlives the meter.
/// Threads    one; the function is called on it.
class ProgressMeter {
 public:
  /// Reports that nothing of total_bytes is done yet.
  ProgressMeter(const Progress& progress, Activity activity, uint64_t total_bytes);

  /// Counts `bytes` as done, and reports if it is time.
  void Advance(uint64_t bytes);
  /// Reports that all is done. Not to be called after a failure.
  void Finish();

 private:
  void Report(std::chrono::steady_clock::time_point now);

  const Progress& progress_;
  ProgressNow now_;
  std::chrono::steady_clock::time_point next_{};
};

inline constexpr std::chrono::milliseconds kProgressInterval{100};

}  // namespace morsel::image
