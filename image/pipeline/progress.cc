#include "image/pipeline/progress.h"

#include <algorithm>

namespace morsel::image {

using Clock = std::chrono::steady_clock;

ProgressMeter::ProgressMeter(const Progress& progress, Activity activity, uint64_t total_bytes)
    : progress_(progress), now_{activity, 0, total_bytes} {
  if (progress_ && total_bytes > 0) Report(Clock::now());
}

void ProgressMeter::Advance(uint64_t bytes) {
  // Something may be counted twice, or be more than expected. More than all is never reported.
  now_.done_bytes = std::min(now_.done_bytes + bytes, now_.total_bytes);
  if (!progress_ || now_.total_bytes == 0) return;
  const Clock::time_point now = Clock::now();
  if (now >= next_) Report(now);
}

void ProgressMeter::Finish() {
  if (!progress_ || now_.total_bytes == 0) return;
  now_.done_bytes = now_.total_bytes;
  Report(Clock::now());
}

void ProgressMeter::Report(Clock::time_point now) {
  progress_(now_);
  next_ = now + kProgressInterval;
}

}  // namespace morsel::image
