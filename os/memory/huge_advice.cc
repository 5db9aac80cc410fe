#include "os/memory/huge_advice.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "base/bits.h"
#include "base/error.h"
#include "base/units.h"

namespace morsel::os {
namespace {

/// A subtree is used densely from so many touched pages on.
constexpr uint64_t kDensePages = kPagesPerSubtree / 2;
/// What follows it may take so many times as much.
constexpr uint64_t kAhead = 7;
/// Of frames that are taken over, smaller gaps between what was touched stay huge, so that they are
/// no more than 256 or so.
constexpr uint64_t kGapBytesMin = 8 * kMiB;
constexpr uint64_t kGapPart = 256;

/// Of all morsels of the process. [HUG-2]
std::atomic<uint64_t> borders_of_process{0};

bool HasTooManyBorders() {
  return borders_of_process.load(std::memory_order_relaxed) >= HugeAdvice::kBordersMax;
}

}  // namespace

HugeAdvice::HugeAdvice(const Frames& frames) : frames_(frames), is_on_(PrivateMemoryIsHuge()) {
  if (!is_on_) return;
  const std::lock_guard held(mutex_);
  const uint64_t end = frames.end();
  huge_.Add(0, end);
  CountBorders();
  const uint64_t gap_bytes = std::max(kGapBytesMin, end / kGapPart);
  const SubtreePosition last(end / kSubtreeBytes);
  for (uint64_t at = 0; at < end;) {
    const uint64_t next = frames.Next(SubtreePosition(at / kSubtreeBytes), last).value();
    const uint64_t touched = next * kSubtreeBytes;
    if (touched - at >= gap_bytes || touched == end) BeSmall(at, touched);
    at = touched + kSubtreeBytes;
  }
}

HugeAdvice::~HugeAdvice() { borders_of_process.fetch_sub(borders_, std::memory_order_relaxed); }

void HugeAdvice::CountBorders() {
  const uint64_t borders = 2 * huge_.ranges().size();
  borders_of_process.fetch_add(borders - borders_, std::memory_order_relaxed);
  borders_ = borders;
}

void HugeAdvice::BeHuge(uint64_t begin, uint64_t end) {
  if (huge_.At(begin).second >= end || HasTooManyBorders()) return;
  frames_.AdviseHuge(begin, end - begin, true);
  huge_.Add(begin, end);
  CountBorders();
}

void HugeAdvice::BeSmall(uint64_t begin, uint64_t end) {
  if (begin >= end || HasTooManyBorders()) return;
  frames_.AdviseHuge(begin, end - begin, false);
  huge_.Remove(begin, end);
  CountBorders();
}

void HugeAdvice::Forget(uint64_t begin, uint64_t end) {
  ++losses_;
  watched_.Remove(begin, end);
  if (ahead_ > begin && ahead_ <= end) ahead_bytes_ = 0;
}

void HugeAdvice::Resized(uint64_t before) {
  if (!is_on_) return;
  const std::lock_guard held(mutex_);
  const uint64_t end = frames_.end();
  Forget(end, before);
  huge_.Remove(end, before);
  if (before < end) huge_.Add(before, end);  // new frames are
  CountBorders();
  BeSmall(before, end);
}

void HugeAdvice::GaveBack(uint64_t offset, uint64_t size_bytes) {
  if (!is_on_) return;
  const uint64_t begin = AlignUp(offset, kSubtreeBytes);
  const uint64_t end = AlignDown(offset + size_bytes, kSubtreeBytes);
  if (begin >= end) return;
  const std::lock_guard held(mutex_);
  Forget(begin, end);
  BeSmall(begin, end);
}

void HugeAdvice::ExpectDense(uint64_t offset, uint64_t size_bytes) {
  if (!is_on_) return;
  const std::lock_guard held(mutex_);
  const uint64_t end = AlignUp(offset + size_bytes, kSubtreeBytes);
  for (uint64_t at = AlignDown(offset, kSubtreeBytes); at < end; at += kSubtreeBytes) {
    // Where others have begun with small pages, these become huge together.
    if (!watched_.Has(at)) BeHuge(at, at + kSubtreeBytes);
  }
}

uint64_t HugeAdvice::ExpectAnything(uint64_t offset, uint64_t size_bytes) {
  if (!is_on_) return 0;
  const std::lock_guard held(mutex_);
  const uint64_t end = AlignUp(offset + size_bytes, kSubtreeBytes);
  uint64_t new_bytes = 0;
  for (uint64_t at = AlignDown(offset, kSubtreeBytes); at < end;) {
    if (const auto [begin, past] = huge_.At(at); past > at) {
      at = past;
      continue;
    }
    if (const auto [begin, past] = watched_.At(at); past > at) {
      at = past;
      continue;
    }
    const uint64_t piece = std::min(watched_.Next(at, end), huge_.Next(at, end));
    if (at == ahead_ && ahead_bytes_ > 0) {
      const uint64_t bytes = std::min(ahead_bytes_, piece - at);
      BeHuge(at, at + bytes);
      ahead_ = at + bytes;
      ahead_bytes_ -= bytes;
      at += bytes;
      if (at == piece) continue;
    }
    watched_.Add(at, piece);
    new_bytes += piece - at;
    at = piece;
  }
  return new_bytes;
}

bool HugeAdvice::has_something_to_watch() const {
  const std::lock_guard held(mutex_);
  return !watched_.ranges().empty();
}

// Gives advice for what lies behind each stretch of touched memory that ends before the range does.
bool HugeAdvice::Advise(const SeenRange& seen) {
  const auto& [end, touched] = seen;
  bool has_advised = false;
  uint64_t stretch = 0;
  uint64_t stretch_end = 0;
  for (size_t i = 0; i < touched.size(); ++i) {
    const uint64_t here = touched[i].offset;
    if (stretch_end != here && !(stretch_end < here && huge_.At(stretch_end).second >= here)) {
      stretch = huge_.At(here - std::min(here, kSubtreeBytes)).first;
      if (here == 0 || !huge_.Has(here - kSubtreeBytes)) stretch = here;
      stretch_end = here;
    }
    // Of the subtree that is being touched now, less is there.
    const bool is_dense = touched[i].pages >= kDensePages;
    const bool is_front = i > 0 && touched[i - 1].offset + kSubtreeBytes == here &&
                          touched[i - 1].pages >= kDensePages;
    if (!is_dense && !is_front) continue;
    stretch_end = here + kSubtreeBytes;
    const bool is_last = i + 1 == touched.size();
    if (!is_last && touched[i + 1].offset == stretch_end) continue;
    if (huge_.Has(stretch_end)) continue;
    const uint64_t limit = is_last ? end : std::min(end, touched[i + 1].offset);
    const uint64_t wanted = kAhead * (stretch_end - stretch);
    const uint64_t bytes = std::min(wanted, huge_.Next(stretch_end, limit) - stretch_end);
    if (stretch_end + bytes == end && bytes < wanted) {
      ahead_ = end;
      ahead_bytes_ = wanted - bytes;
    }
    if (bytes == 0) continue;
    BeHuge(stretch_end, stretch_end + bytes);
    has_advised = true;
  }
  return has_advised;
}

// Takes, of what was touched all over, what is to become huge. Where a checkpoint has begun to
// track it, or there is no memory, it stays in small pages and is watched no more.
void HugeAdvice::TakeFull(const SeenRange& seen, uint64_t count_max, std::vector<uint64_t>& full) {
  for (const Touched& touched : seen.touched) {
    if (touched.pages < kPagesPerSubtree) continue;
    if (full.size() == count_max) break;
    const uint64_t end = touched.offset + kSubtreeBytes;
    BeHuge(touched.offset, end);
    watched_.Remove(touched.offset, end);
    full.push_back(touched.offset);
  }
}

// The mutex is not held while page tables are read: calls of the heap would wait for that.
HugeAdvice::Seen HugeAdvice::See() const {
  Seen seen;
  if (!is_on_) return seen;
  std::unique_lock held(mutex_);
  const RangeSet watched = watched_;
  const RangeSet huge = huge_;
  seen.losses = losses_;
  held.unlock();
  for (const auto& [range_begin, range_end] : watched.ranges()) {
    std::vector<Touched>& touched = seen.ranges.emplace_back(SeenRange{range_end, {}}).touched;
    frames_.ForEachTouched(range_begin, range_end, [&](uint64_t begin, uint64_t end) {
      while (begin < end) {
        const uint64_t subtree = AlignDown(begin, kSubtreeBytes);
        const uint64_t past = std::min(end, subtree + kSubtreeBytes);
        const uint64_t pages = (past - begin) / kPageBytes;
        begin = past;
        seen.pages += pages;
        if (huge.Has(subtree)) continue;
        if (touched.empty() || touched.back().offset != subtree) touched.push_back({subtree, 0});
        touched.back().pages += pages;
      }
    });
  }
  return seen;
}

// Nor while pages are joined.
bool HugeAdvice::Act(const Seen& seen, uint64_t joins_max) {
  if (!is_on_) return false;
  bool has_changed = seen.pages != pages_;
  pages_ = seen.pages;
  std::vector<uint64_t> full;
  {
    const std::lock_guard held(mutex_);
    if (losses_ != seen.losses) return true;
    for (const SeenRange& range : seen.ranges) {
      if (Advise(range)) has_changed = true;
      TakeFull(range, joins_max, full);
    }
  }
  for (const uint64_t offset : full) frames_.JoinPages(offset);
  return has_changed || !full.empty();
}

void HugeAdvice::ForgetHuge() {
  const std::lock_guard held(mutex_);
  for (const auto& [begin, end] : huge_.ranges()) watched_.Remove(begin, end);
}

}  // namespace morsel::os
