// A line on a terminal that says how far loading or storing a morsel has come.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "image/pipeline/progress.h"
#include "morsel/morsel.h"

namespace morsel::cli {

/// Is shown once something has taken longer than kQuietSeconds, and taken away at its end.
class ProgressBar {
 public:
  static constexpr double kQuietSeconds = 0.5;

  /// `print` puts text on the terminal; `seconds` is a clock that never goes back.
  ProgressBar(std::function<void(const std::string&)> print, std::function<double()> seconds)
      : print_(std::move(print)), seconds_(std::move(seconds)) {}
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Show(const morsel_progress& now);
  void Show(const pmem::image::ProgressNow& now);

  /// What morsel_options have for it.
  static void Call(const morsel_progress* now, void* bar) {
    static_cast<ProgressBar*>(bar)->Show(*now);
  }

 private:
  void Clear();

  std::function<void(const std::string&)> print_;
  std::function<double()> seconds_;
  double begin_ = 0;
  bool is_shown_ = false;
};

/// E.g. "storing  [#####               ]  25 %  1 GiB of 4 GiB, 512 MiB/s, 0:06 left".
std::string ProgressLine(const morsel_progress& now, double seconds);

/// On standard error, where that is a terminal; else null.
/// Ownership  outlives the morsels that are opened with it.
std::unique_ptr<ProgressBar> TerminalProgressBar();

/// What tells the bar, where there is one.
pmem::image::Progress ProgressOf(ProgressBar* bar);

/// `options` with the bar, where there is one.
morsel_options WithProgress(morsel_options options, ProgressBar* bar);

}  // namespace morsel::cli
