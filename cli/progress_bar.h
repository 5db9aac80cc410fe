// A line on a terminal that shows how far loading, storing or verifying a morsel has come.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "morsel/morsel.h"

namespace morsel::cli {

/// The bar appears when an activity has taken longer than kQuietSeconds, and disappears at its end.
class ProgressBar {
 public:
  static constexpr double kQuietSeconds = 0.5;

  /// `print` writes text to the terminal. `seconds` is a clock that never goes back.
  ProgressBar(std::function<void(const std::string&)> print, std::function<double()> seconds)
      : print_(std::move(print)), seconds_(std::move(seconds)) {}
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Show(const morsel_progress& now);

  /// A callback for morsel_options::progress; `bar` is the ProgressBar.
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

/// The text of the bar after `seconds`, e.g.
/// "storing  [#####               ]  25 %  1 GiB of 4 GiB, 512 MiB/s, 0:06 left".
std::string ProgressLine(const morsel_progress& now, double seconds);

/// Returns a bar on standard error, or nullptr if that is not a terminal.
/// Ownership  the caller's; it must outlive the morsels that are opened with it.
std::unique_ptr<ProgressBar> TerminalProgressBar();

/// While it lives, the bar is shown for what this thread exports, imports, verifies and salvages;
/// with nullptr nothing is shown.
class ShowingProgress {
 public:
  explicit ShowingProgress(ProgressBar* bar) {
    morsel_set_progress(bar != nullptr ? ProgressBar::Call : nullptr, bar);
  }
  ~ShowingProgress() { morsel_set_progress(nullptr, nullptr); }
  ShowingProgress(const ShowingProgress&) = delete;
  ShowingProgress& operator=(const ShowingProgress&) = delete;
};

/// Returns `options` with the bar as their progress callback; with nullptr they are unchanged.
morsel_options WithProgress(morsel_options options, ProgressBar* bar);

}  // namespace morsel::cli
