#include "cli/progress_bar.h"

#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>

#include "cli/units.h"

namespace morsel::cli {
namespace {

constexpr uint64_t kBarWidth = 20;
// Moves the cursor to the begin of the line and erases the line.
constexpr char kClearLine[] = "\r\x1b[K";

const char* WordOf(uint32_t activity) {
  if (activity == MORSEL_STORING) return "storing  [";
  return activity == MORSEL_LOADING ? "loading  [" : "verifying  [";
}

}  // namespace

std::string ProgressLine(const morsel_progress& now, double seconds) {
  const double part = static_cast<double>(now.done_bytes) / static_cast<double>(now.total_bytes);
  const auto filled = static_cast<uint64_t>(part * kBarWidth);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, ' ');
  char text[64];
  std::snprintf(text, sizeof text, "]  %.0f %%  ", part * 100);
  std::string line = WordOf(now.activity) + bar + text + FormatSize(now.done_bytes) + " of " +
                     FormatSize(now.total_bytes);
  if (now.done_bytes == 0 || seconds <= 0) return line;
  const double rate = static_cast<double>(now.done_bytes) / seconds;
  const auto left =
      static_cast<uint64_t>(static_cast<double>(now.total_bytes - now.done_bytes) / rate);
  std::snprintf(text, sizeof text, "%" PRIu64 ":%02" PRIu64 " left", left / 60, left % 60);
  return line + ", " + FormatSize(static_cast<uint64_t>(rate)) + "/s, " + text;
}

void ProgressBar::Show(const morsel_progress& now) {
  if (now.done_bytes == 0) begin_ = seconds_();
  if (now.done_bytes == now.total_bytes) return Clear();
  const double seconds = seconds_() - begin_;
  if (seconds < kQuietSeconds) return;
  print_(kClearLine + ProgressLine(now, seconds));
  is_shown_ = true;
}

void ProgressBar::Clear() {
  if (is_shown_) print_(kClearLine);
  is_shown_ = false;
}

std::unique_ptr<ProgressBar> TerminalProgressBar() {
  if (isatty(STDERR_FILENO) != 1) return nullptr;
  return std::make_unique<ProgressBar>(
      [](const std::string& text) {
        // The bar is only for looking at, so an error here is ignored.
        if (std::fputs(text.c_str(), stderr) >= 0) std::fflush(stderr);
      },
      [] {
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        return std::chrono::duration<double>(now).count();
      });
}

morsel_options WithProgress(morsel_options options, ProgressBar* bar) {
  if (bar == nullptr) return options;
  options.progress = ProgressBar::Call;
  options.progress_context = bar;
  return options;
}

}  // namespace morsel::cli
