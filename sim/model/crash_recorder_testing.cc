#include "sim/model/crash_recorder_testing.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"

namespace morsel::pmem {
namespace {

using sim::Choice;
using sim::Event;
using sim::kWordsPerLine;
using sim::Line;
using sim::LineNumber;

// A flush and a fence ask for no line.
constexpr auto kNoLine = [](LineNumber) { return Line{}; };

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

CrashRecorder::CrashRecorder(std::vector<Span> spans, std::vector<Line> visible,
                             sim::MediumState undecided)
    : spans_(std::move(spans)), seen_(std::move(visible)), state_(std::move(undecided)) {}

CrashRecorder::CrashRecorder(std::vector<Span> spans) : spans_(std::move(spans)) {
  uint64_t lines = 0;
  for (const Span& span : spans_) {
    MORSEL_CHECK(span.size_bytes % kLineBytes == 0);
    lines += span.size_bytes / kLineBytes;
  }
  seen_.resize(lines);
  Line* seen = seen_.data();
  for (const Span& span : spans_) {
    Copy(seen, span.begin, span.size_bytes);
    seen += span.size_bytes / kLineBytes;
  }
}

CrashRecorder CrashRecorder::AfterKill(std::vector<Span> copy) const {
  sim::MediumState killed = state_;
  killed.Kill();
  return CrashRecorder(copy.empty() ? spans_ : std::move(copy), seen_, std::move(killed));
}

Persist CrashRecorder::persist() {
  static constexpr PersistTable kTable = {
      .flush = [](void* recorder, const void* address,
                  size_t size) { static_cast<CrashRecorder*>(recorder)->Flush(address, size); },
      .fence = [](void* recorder) { static_cast<CrashRecorder*>(recorder)->Fence(); },
  };
  return Persist(&kTable, this);
}

char* CrashRecorder::AddressOf(LineNumber line) const {
  for (const Span& span : spans_) {
    const uint64_t here = span.size_bytes / kLineBytes;
    if (line < here) return span.begin + line * kLineBytes;
    line -= here;
  }
  Die("line %llu is in no span", static_cast<unsigned long long>(line));
}

void CrashRecorder::Observe() {
  LineNumber first = 0;
  for (const Span& span : spans_) {
    const uint64_t count = span.size_bytes / kLineBytes;
    ObserveLines(first, count, span.begin);
    first += count;
  }
}

void CrashRecorder::ObserveLines(LineNumber first, uint64_t count, const char* memory) {
  constexpr uint64_t kLinesAtOnce = kPageBytes / kLineBytes;
  for (uint64_t done = 0; done < count; done += kLinesAtOnce) {
    const uint64_t end = std::min(done + kLinesAtOnce, count);
    if (Equal(memory + done * kLineBytes, &seen_[first + done], (end - done) * kLineBytes)) {
      continue;
    }
    for (uint64_t i = done; i < end; ++i) {
      Line now;
      Copy(&now, memory + i * kLineBytes, kLineBytes);
      const Line seen = std::exchange(seen_[first + i], now);
      for (uint64_t word = 0; word < kWordsPerLine; ++word) {
        if (now[word] == seen[word]) continue;
        const uint64_t place = (first + i) * kWordsPerLine + word;
        state_.Apply({Event::Kind::kStore, 0, place, now[word], nullptr},
                     [&](LineNumber) { return seen; });
      }
    }
  }
}

// Only threads with flushes that are not fenced have a number.
uint8_t CrashRecorder::ThisThread() {
  const auto [found, is_new] = threads_.try_emplace(std::this_thread::get_id(), uint8_t{0});
  if (is_new) {
    const auto has = [&](uint8_t number) {
      return std::any_of(threads_.begin(), threads_.end(),
                         [&](const auto& other) { return other.second == number; });
    };
    uint8_t number = 1;
    while (has(number)) ++number;
    found->second = number;
  }
  return found->second;
}

void CrashRecorder::Flush(const void* address, uint64_t size_bytes) {
  if (before_flush_) {
    const OutsideCall outside;  // images of what crashes leave are opened there
    before_flush_();
  }
  const char* const begin = static_cast<const char*>(address);
  const char* const end = begin + size_bytes;
  LineNumber first = 0;
  for (const Span& span : spans_) {
    const char* const from = std::max<const char*>(begin, span.begin);
    const char* const to = std::min<const char*>(end, span.begin + span.size_bytes);
    if (from < to) {
      const LineNumber line = first + static_cast<uint64_t>(from - span.begin) / kLineBytes;
      const LineNumber last = first + static_cast<uint64_t>(to - 1 - span.begin) / kLineBytes;
      ObserveLines(line, last - line + 1, AddressOf(line));
      state_.Apply({Event::Kind::kFlush, ThisThread(), line, last - line + 1, nullptr}, kNoLine);
    }
    first += span.size_bytes / kLineBytes;
  }
}

void CrashRecorder::Fence() {
  if (before_fence_) {
    const OutsideCall outside;
    before_fence_();
  }
  const auto found = threads_.find(std::this_thread::get_id());
  if (found == threads_.end()) return;
  state_.Apply({Event::Kind::kFence, found->second, 0, 0, nullptr}, kNoLine);
  threads_.erase(found);
  state_.ForgetDecided();
}

void CrashRecorder::WithImage(const Choice& choice, const std::function<void()>& visit) {
  for (const auto& [number, line] : state_.After(choice)) {
    Copy(AddressOf(number), &line, sizeof line);
  }
  visit();
  Restore();
}

void CrashRecorder::Restore() {
  LineNumber first = 0;
  for (const Span& span : spans_) {
    for (uint64_t done = 0; done < span.size_bytes; done += kPageBytes) {
      const uint64_t size = std::min(kPageBytes, span.size_bytes - done);
      const Line* const from = &seen_[first + done / kLineBytes];
      if (!Equal(span.begin + done, from, size)) Copy(span.begin + done, from, size);
    }
    first += span.size_bytes / kLineBytes;
  }
}

void CrashRecorder::WithMemory(const std::function<void()>& visit) {
  Observe();
  visit();
  Restore();
}

void CrashRecorder::WithDurable(const std::function<void()>& visit) {
  Observe();
  WithImage(Choice(state_.undecided().size(), 0), visit);
}

void CrashRecorder::ForEachImage(uint64_t images_max, std::mt19937_64& random,
                                 const std::function<void()>& visit) {
  Observe();
  sim::ForEachChoice(state_, std::nullopt, images_max, random, [&](const Choice& choice) {
    WithImage(choice, visit);
    return true;
  });
}

}  // namespace morsel::pmem
