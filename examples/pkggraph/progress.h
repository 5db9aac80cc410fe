// Tells a person at a terminal how far long work is; says nothing into a pipe or a file.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace pkggraph {

/// One line on standard error, wiped at the end.
class Progress {
 public:
  /// `what` is e.g. "reading the index". Work that is done within the first interval is never
  /// announced.
  explicit Progress(std::string what,
                    std::chrono::milliseconds interval = std::chrono::milliseconds(100));
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `total` is 0 where nobody knows it. Cheap enough to be called for every item.
  void Update(uint64_t done, uint64_t total = 0) {
    if (shown_) Draw(done, total);
  }

 private:
  void Draw(uint64_t done, uint64_t total);

  const std::string what_;
  const bool shown_;
  const std::chrono::milliseconds interval_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace pkggraph
