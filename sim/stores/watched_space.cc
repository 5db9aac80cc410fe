#include "sim/stores/watched_space.h"

#include <linux/falloc.h>

#include <cstring>

#include "sim/stores/recorder.h"

namespace morsel::sim {
namespace {

void Zero(const Span& span) {
  static constexpr char kZeroes[kLineBytes] = {};
  for (uint64_t at = 0; at < span.size_bytes; at += kLineBytes) {
    char* const line = span.begin + at;
    if (std::memcmp(line, kZeroes, kLineBytes) == 0) continue;
    std::memset(line, 0, kLineBytes);
    if (Recorder::Get().recording()) {
      Recorder::Get().Stored(line, kLineBytes, __builtin_return_address(0));
    }
  }
}

}  // namespace

// Space is not taken: what lies outside of the watched parts is never written.
int WatchedSpace::FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) {
  if ((mode & FALLOC_FL_PUNCH_HOLE) == 0) return 0;
  if (file_ == nullptr) return SystemCalls::FAllocate(file, mode, offset, size_bytes);
  file_->ForEachSpan(static_cast<uint64_t>(offset), static_cast<uint64_t>(size_bytes),
                     [this](const Span& span) {
                       Zero(span);
                       holes_.push_back(span);
                     });
  return 0;
}

int WatchedSpace::FDataSync(int file) {
  if (file_ == nullptr) return SystemCalls::FDataSync(file);
  for (const Span& hole : holes_) Recorder::Get().MadeDurable(hole.begin, hole.size_bytes);
  holes_.clear();
  return 0;
}

}  // namespace morsel::sim
