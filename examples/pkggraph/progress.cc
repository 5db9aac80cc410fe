#include "examples/pkggraph/progress.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <utility>

namespace pkggraph {
namespace {

constexpr const char* kWipeLine = "\r\033[K";

}  // namespace

Progress::Progress(std::string what, std::chrono::milliseconds interval)
    : what_(std::move(what)),
      shown_(isatty(STDERR_FILENO) == 1),
      interval_(interval),
      next_(std::chrono::steady_clock::now() + interval) {}

Progress::~Progress() {
  if (shown_) std::fputs(kWipeLine, stderr);
}

void Progress::Draw(uint64_t done, uint64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + interval_;
  if (total == 0) {
    std::fprintf(stderr, "%s%s: %" PRIu64, kWipeLine, what_.c_str(), done);
  } else {
    std::fprintf(stderr, "%s%s: %3" PRIu64 " %%", kWipeLine, what_.c_str(), done * 100 / total);
  }
}

}  // namespace pkggraph
