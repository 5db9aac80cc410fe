#include "sim/model/crash_recorder_testing.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"

namespace morsel::pmem {
namespace {

// Nearly all that a test with a recorder does is this. What stands in for memcmp and memcpy under
// thread sanitizer takes a hundred times as long; no other thread is at this memory meanwhile.
#ifdef __SANITIZE_THREAD__
[[gnu::no_sanitize("thread")]] bool Equal(const void* a, const void* b, uint64_t size_bytes) {
  const auto* const left = static_cast<const uint64_t*>(a);
  const auto* const right = static_cast<const uint64_t*>(b);
  uint64_t difference = 0;
  for (uint64_t i = 0; i < size_bytes / sizeof(uint64_t); ++i) difference |= left[i] ^ right[i];
  return difference == 0;
}

[[gnu::no_sanitize("thread")]] void Copy(void* to, const void* from, uint64_t size_bytes) {
  auto* const target = static_cast<uint64_t*>(to);
  const auto* const source = static_cast<const uint64_t*>(from);
  for (uint64_t i = 0; i < size_bytes / sizeof(uint64_t); ++i) target[i] = source[i];
}
#else
bool Equal(const void* a, const void* b, uint64_t size_bytes) {
  return std::memcmp(a, b, size_bytes) == 0;
}

void Copy(void* to, const void* from, uint64_t size_bytes) { std::memcpy(to, from, size_bytes); }
#endif

}  // namespace

CrashRecorder::CrashRecorder(std::vector<Span> spans) : spans_(std::move(spans)) {
  for (const Span& span : spans_) {
    MORSEL_CHECK(span.size_bytes % kLineBytes == 0);
    line_count_ += span.size_bytes / kLineBytes;
  }
  seen_ = std::make_unique_for_overwrite<Line[]>(line_count_);
  uint64_t line = 0;
  for (const Span& span : spans_) {
    Copy(&seen_[line], span.begin, span.size_bytes);
    line += span.size_bytes / kLineBytes;
  }
}

CrashRecorder::CrashRecorder(const CrashRecorder& other)
    : spans_(other.spans_),
      line_count_(other.line_count_),
      seen_(std::make_unique_for_overwrite<Line[]>(line_count_)),
      lines_(other.lines_),
      flushed_(other.flushed_) {
  Copy(seen_.get(), other.seen_.get(), line_count_ * sizeof(Line));
}

Persist CrashRecorder::persist() {
  static constexpr PersistTable kTable = {
      .flush = [](void* recorder, const void* address,
                  size_t size) { static_cast<CrashRecorder*>(recorder)->Flush(address, size); },
      .fence = [](void* recorder) { static_cast<CrashRecorder*>(recorder)->Fence(); },
  };
  return Persist(&kTable, this);
}

char* CrashRecorder::AddressOf(uint64_t line) const {
  for (const Span& span : spans_) {
    const uint64_t here = span.size_bytes / kLineBytes;
    if (line < here) return span.begin + line * kLineBytes;
    line -= here;
  }
  Die("line %llu is in no span", static_cast<unsigned long long>(line));
}

void CrashRecorder::Observe() {
  uint64_t first = 0;
  for (const Span& span : spans_) {
    const uint64_t count = span.size_bytes / kLineBytes;
    ObserveLines(first, count, span.begin);
    first += count;
  }
}

void CrashRecorder::ObserveLines(uint64_t first, uint64_t count, const char* memory) {
  constexpr uint64_t kLinesAtOnce = kPageBytes / kLineBytes;
  for (uint64_t done = 0; done < count; done += kLinesAtOnce) {
    const uint64_t end = std::min(done + kLinesAtOnce, count);
    if (Equal(memory + done * kLineBytes, &seen_[first + done], (end - done) * kLineBytes)) {
      continue;
    }
    for (uint64_t i = done; i < end; ++i) {
      Line& seen = seen_[first + i];
      const char* const now = memory + i * kLineBytes;
      if (Equal(now, &seen, kLineBytes)) continue;
      History& history = lines_[first + i];
      if (history.values.empty()) history.values.push_back(seen);
      Copy(&seen, now, kLineBytes);
      history.values.push_back(seen);
    }
  }
}

void CrashRecorder::Flush(const void* address, uint64_t size_bytes) {
  std::map<uint64_t, uint64_t>& flushed = flushed_[std::this_thread::get_id()];
  const char* const begin = static_cast<const char*>(address);
  const char* const end = begin + size_bytes;
  uint64_t first = 0;
  for (const Span& span : spans_) {
    const char* const from = std::max<const char*>(begin, span.begin);
    const char* const to = std::min<const char*>(end, span.begin + span.size_bytes);
    if (from < to) {
      const uint64_t line = first + static_cast<uint64_t>(from - span.begin) / kLineBytes;
      const uint64_t last = first + static_cast<uint64_t>(to - 1 - span.begin) / kLineBytes;
      ObserveLines(line, last - line + 1, AddressOf(line));
      for (auto found = lines_.lower_bound(line); found != lines_.end() && found->first <= last;
           ++found) {
        flushed[found->first] = found->second.dropped + found->second.values.size() - 1;
      }
    }
    first += span.size_bytes / kLineBytes;
  }
}

void CrashRecorder::Fence() {
  if (before_fence_) {
    const OutsideCall outside;  // images of what crashes leave are opened there
    before_fence_();
  }
  for (const auto& [line, value] : flushed_[std::this_thread::get_id()]) {
    const auto found = lines_.find(line);
    if (found == lines_.end() || value <= found->second.dropped) continue;  // another was faster
    History& history = found->second;
    history.values.erase(history.values.begin(),
                         history.values.begin() + static_cast<ptrdiff_t>(value - history.dropped));
    history.dropped = value;
  }
  flushed_.erase(std::this_thread::get_id());
  // A line with one value left is decided. Its values are numbered from zero again when it is
  // stored to, so no thread may hold a number of it.
  std::erase_if(lines_, [this](const auto& entry) {
    if (entry.second.values.size() > 1) return false;
    for (auto& [thread, flushed] : flushed_) flushed.erase(entry.first);
    return true;
  });
}

void CrashRecorder::Put(const Choice& choice, std::mt19937_64* torn) {
  size_t i = 0;
  for (const auto& [number, history] : lines_) {
    Line line = history.values[choice[i]];
    if (torn != nullptr && choice[i] + 1 < history.values.size() && (*torn)() % 4 == 0) {
      const Line& next = history.values[choice[i] + 1];
      std::copy_n(next.begin(), (*torn)() % next.size(), line.begin());
    }
    Copy(AddressOf(number), &line, sizeof line);
    ++i;
  }
}

CrashRecorder::Choice CrashRecorder::Sample(std::mt19937_64& random) const {
  const uint64_t kind = random() % 4;
  const uint64_t odd_one = random() % lines_.size();
  Choice choice;
  for (const auto& [number, history] : lines_) {
    const size_t newest = history.values.size() - 1;
    const bool odd = choice.size() == odd_one;
    switch (kind) {
      case 0:  // all but one
        choice.push_back(odd ? random() % newest : newest);
        break;
      case 1:  // only one
        choice.push_back(odd ? 1 + random() % newest : 0);
        break;
      default:
        choice.push_back(random() % (newest + 1));
    }
  }
  return choice;
}

void CrashRecorder::Restore() {
  uint64_t first = 0;
  for (const Span& span : spans_) {
    for (uint64_t done = 0; done < span.size_bytes; done += kPageBytes) {
      const uint64_t size = std::min(kPageBytes, span.size_bytes - done);
      const Line* const from = &seen_[first + done / kLineBytes];
      if (!Equal(span.begin + done, from, size)) {
        Copy(span.begin + done, from, size);
      }
    }
    first += span.size_bytes / kLineBytes;
  }
}

void CrashRecorder::WithMemory(const std::function<void()>& visit) {
  Observe();
  visit();
  Restore();
}

void CrashRecorder::ForEachImage(uint64_t images_max, std::mt19937_64& random,
                                 const std::function<void()>& visit) {
  Observe();
  uint64_t images = 1;
  for (const auto& [number, history] : lines_) {
    images *= history.values.size();
    if (images > images_max) break;
  }
  const auto form = [&](const Choice& choice, std::mt19937_64* torn) {
    Put(choice, torn);
    visit();
    Restore();
  };
  Choice choice(lines_.size(), 0);
  if (images <= images_max) {
    for (uint64_t image = 0; image < images; ++image) {
      form(choice, nullptr);
      size_t i = 0;
      for (const auto& [number, history] : lines_) {
        if (++choice[i] < history.values.size()) break;
        choice[i++] = 0;
      }
    }
    return;
  }
  form(choice, nullptr);
  size_t i = 0;
  for (const auto& [number, history] : lines_) choice[i++] = history.values.size() - 1;
  if (images_max > 1) form(choice, nullptr);
  for (uint64_t image = 2; image < images_max; ++image) form(Sample(random), &random);
}

}  // namespace morsel::pmem
