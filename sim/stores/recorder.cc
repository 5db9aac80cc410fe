#include "sim/stores/recorder.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "sim/stores/hook_state.h"
#include "sim/stores/scheduler.h"

namespace morsel::sim {
namespace {

constexpr uint64_t kLinesPerPage = kPageBytes / kLineBytes;
/// None of the scheduler's: its fences decide what it flushed itself, and nothing of any thread.
constexpr uint8_t kKernelThread = 255;

}  // namespace

Recorder& Recorder::Get() {
  static Recorder* const recorder = new Recorder;  // outlives every static of the program
  return *recorder;
}

void RecordPending() {
  const size_t size_bytes = hook_state.pending_bytes;
  hook_state.pending_bytes = 0;
  Recorder::Get().Stored(hook_state.pending, size_bytes, hook_state.pending_pc);
}

uint8_t Recorder::ThisThread() { return hook_state.thread; }

void Recorder::Watch(std::vector<Span> spans) {
  InSimulator in;
  MORSEL_CHECK(!recording_);
  spans_ = std::move(spans);
  windows_.clear();
  unseen_.clear();
  uint64_t bytes = 0;
  for (const Span& span : spans_) {
    MORSEL_CHECK(span.size_bytes % kLineBytes == 0);
    windows_.push_back({reinterpret_cast<uintptr_t>(span.begin), span.size_bytes, bytes});
    bytes += span.size_bytes;
  }
  prepared_.resize(bytes / kLineBytes);
  for (LineNumber line = 0; line < prepared_.size(); ++line) {
    std::memcpy(&prepared_[line], ViewOf(line), kLineBytes);
  }
  shadow_ = prepared_;
  dirty_.clear();
  touched_.assign(prepared_.size() / kLinesPerPage + 1, false);
  touched_pages_.clear();
  SetBounds();
}

void Recorder::SetBounds() {
  uintptr_t low = UINTPTR_MAX;
  uintptr_t high = 0;
  for (const Window& window : windows_) {
    low = std::min(low, window.begin);
    high = std::max<uintptr_t>(high, window.begin + window.size_bytes);
  }
  hook_bounds.low = low;
  hook_bounds.extent_bytes = high > low ? high - low : 0;
}

void Recorder::Alias(const void* address, uint64_t size_bytes, uint64_t offset) {
  InSimulator in;
  Forget(address, size_bytes);
  windows_.push_back({reinterpret_cast<uintptr_t>(address), size_bytes, offset});
  SetBounds();
}

// What is left of a window that is met in part is one window or two.
void Recorder::Forget(const void* address, uint64_t size_bytes) {
  InSimulator in;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(address);
  const uintptr_t end = begin + size_bytes;
  std::vector<Window> left;
  for (const Window& window : windows_) {
    const uintptr_t window_end = window.begin + window.size_bytes;
    if (window_end <= begin || end <= window.begin) {
      left.push_back(window);
      continue;
    }
    if (window.begin < begin) left.push_back({window.begin, begin - window.begin, window.offset});
    if (end < window_end) {
      left.push_back({end, window_end - end, window.offset + (end - window.begin)});
    }
  }
  windows_ = std::move(left);
  SetBounds();
}

void Recorder::Move(const void* from, const void* to, uint64_t size_bytes) {
  InSimulator in;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(from);
  std::vector<Window> moved;
  for (const Window& window : windows_) {
    const uintptr_t first = std::max(begin, window.begin);
    const uintptr_t end = std::min<uintptr_t>(begin + size_bytes, window.begin + window.size_bytes);
    if (first >= end) continue;
    moved.push_back({reinterpret_cast<uintptr_t>(to) + (first - begin), end - first,
                     window.offset + (first - window.begin)});
  }
  Forget(from, size_bytes);
  Forget(to, size_bytes);
  windows_.insert(windows_.end(), moved.begin(), moved.end());
  SetBounds();
}

const Recorder::Window* Recorder::WindowOf(uintptr_t address) const {
  for (const Window& window : windows_) {
    if (address - window.begin < window.size_bytes) return &window;
  }
  return nullptr;
}

// The span, which is there whatever the code under test has mapped.
char* Recorder::ViewOf(LineNumber line) const {
  uint64_t offset = line * kLineBytes;
  for (const Span& span : spans_) {
    if (offset < span.size_bytes) return span.begin + offset;
    offset -= span.size_bytes;
  }
  Die("line %" PRIu64 " is in no span", line);
}

char* Recorder::AddressOf(LineNumber line) const {
  const uint64_t offset = line * kLineBytes;
  for (auto window = windows_.rbegin(); window != windows_.rend(); ++window) {
    if (offset - window->offset < window->size_bytes) {
      return reinterpret_cast<char*>(window->begin + (offset - window->offset));
    }
  }
  return ViewOf(line);
}

void Recorder::Begin(bool strict) {
  InSimulator in;
  MORSEL_CHECK(!recording_);
  trace_.clear();
  unseen_.clear();
  for (const uint64_t page : touched_pages_) touched_[page] = false;
  touched_pages_.clear();
  strict_ = strict;
  recording_ = true;
  hook_state.pending_bytes = 0;
  hook_bounds.active = true;
}

Trace Recorder::End() {
  InSimulator in;
  if (hook_state.pending_bytes != 0) RecordPending();
  for (const uint64_t page : touched_pages_) TakePage(page);
  hook_bounds.active = false;
  recording_ = false;
  return std::exchange(trace_, {});
}

pmem::Persist Recorder::persist() {
  static constexpr pmem::PersistTable kTable = {
      .flush =
          [](void* recorder, const void* address, size_t size_bytes) {
            static_cast<Recorder*>(recorder)->Flush(address, size_bytes,
                                                    __builtin_return_address(0));
          },
      .fence =
          [](void* recorder) {
            static_cast<Recorder*>(recorder)->Fence(__builtin_return_address(0));
          },
  };
  return pmem::Persist(&kTable, this);
}

void Recorder::TakeWord(LineNumber line, uint64_t word, const Line& now, const void* pc) {
  if (pc == nullptr && strict_ && unseen_.empty()) {
    char text[120];
    std::snprintf(text, sizeof text, "0x%" PRIx64 " was stored at %p by code without hooks",
                  now[word], static_cast<void*>(AddressOf(line) + word * kWordBytes));
    unseen_ = text;
  }
  shadow_[line][word] = now[word];
  trace_.push_back(
      {Event::Kind::kStore, hook_state.thread, line * kWordsPerLine + word, now[word], pc});
}

// Of the line, the words from first to last were stored at `pc`; others were not seen.
void Recorder::Take(LineNumber line, uint64_t first_word, uint64_t last_word, const void* pc) {
  Line now;
  std::memcpy(&now, ViewOf(line), kLineBytes);
  Line& seen = shadow_[line];
  if (now == seen) return;
  for (uint64_t word = 0; word < kWordsPerLine; ++word) {
    const bool announced = first_word <= word && word <= last_word;
    if (now[word] != seen[word] && !announced) TakeWord(line, word, now, nullptr);
  }
  for (uint64_t word = first_word; word <= last_word && word < kWordsPerLine; ++word) {
    if (now[word] != seen[word]) TakeWord(line, word, now, pc);
  }
  dirty_.insert(line);
  const uint64_t page = line / kLinesPerPage;
  if (touched_[page]) return;
  touched_[page] = true;
  touched_pages_.push_back(page);
}

bool Recorder::TakePage(uint64_t page) {
  const LineNumber first = page * kLinesPerPage;
  const LineNumber end = std::min(first + kLinesPerPage, shadow_.size());
  const char* const begin = ViewOf(first);
  const bool whole =
      end - first == kLinesPerPage && ViewOf(end - 1) == begin + kPageBytes - kLineBytes;
  if (whole && std::memcmp(begin, &shadow_[first], kPageBytes) == 0) return false;
  const size_t events = trace_.size();
  for (LineNumber line = first; line < end; ++line) {
    if (std::memcmp(ViewOf(line), &shadow_[line], kLineBytes) != 0) {
      Take(line, kWordsPerLine, kWordsPerLine, nullptr);
    }
  }
  return trace_.size() > events;
}

bool Recorder::Inspect() {
  InSimulator in;
  bool found = false;
  for (uint64_t page = 0; page * kLinesPerPage < shadow_.size(); ++page) {
    found = TakePage(page) || found;
  }
  return found;
}

void Recorder::Stored(const void* address, uint64_t size_bytes, const void* pc) {
  InSimulator in;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(address);
  for (uintptr_t at = begin; at < begin + size_bytes;) {
    const Window* const window = WindowOf(at);
    const uintptr_t line_end = (at / kLineBytes + 1) * kLineBytes;
    const uintptr_t end = std::min<uintptr_t>(line_end, begin + size_bytes);
    if (window != nullptr) {
      const uint64_t offset = window->offset + (at - window->begin);
      const uint64_t last = offset % kLineBytes + (end - at - 1);
      Take(offset / kLineBytes, offset % kLineBytes / kWordBytes, last / kWordBytes, pc);
    }
    at = end;
  }
}

void Recorder::Flush(const void* address, uint64_t size_bytes, const void* pc) {
  if (!recording_) return;
  if (hook_state.pending_bytes != 0) RecordPending();
  Scheduler::SwitchPoint();
  InSimulator in;
  FlushAs(hook_state.thread, address, size_bytes, pc);
}

void Recorder::MadeDurable(const void* address, uint64_t size_bytes) {
  if (!recording_) return;
  if (hook_state.pending_bytes != 0) RecordPending();
  InSimulator in;
  FlushAs(kKernelThread, address, size_bytes, nullptr);
  trace_.push_back({Event::Kind::kFence, kKernelThread, 0, 0, nullptr});
}

void Recorder::FlushAs(uint8_t thread, const void* address, uint64_t size_bytes, const void* pc) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(address) / kLineBytes * kLineBytes;
  const uintptr_t end = reinterpret_cast<uintptr_t>(address) + size_bytes;
  for (uintptr_t at = begin; at < end;) {
    const Window* const window = WindowOf(at);
    if (window == nullptr) {
      at += kLineBytes;
      continue;
    }
    const uint64_t offset = window->offset + (at - window->begin);
    const uintptr_t run_end = std::min<uintptr_t>(end, window->begin + window->size_bytes);
    const uint64_t lines = (run_end - at + kLineBytes - 1) / kLineBytes;
    const LineNumber first = offset / kLineBytes;
    for (LineNumber line = first; line < first + lines; ++line) {
      if (std::memcmp(ViewOf(line), &shadow_[line], kLineBytes) != 0) {
        Take(line, kWordsPerLine, kWordsPerLine, nullptr);
      }
    }
    trace_.push_back({Event::Kind::kFlush, thread, first, lines, pc});
    at += lines * kLineBytes;
  }
}

void Recorder::Fence(const void* pc) {
  if (!recording_) return;
  if (hook_state.pending_bytes != 0) RecordPending();
  Scheduler::SwitchPoint();
  InSimulator in;
  for (const uint64_t page : touched_pages_) TakePage(page);
  trace_.push_back({Event::Kind::kFence, hook_state.thread, 0, 0, pc});
}

void Recorder::NoteLog(uint64_t entries) {
  if (!recording_) return;
  if (hook_state.pending_bytes != 0) RecordPending();
  InSimulator in;
  trace_.push_back({Event::Kind::kLog, hook_state.thread, 0, entries, nullptr});
}

void Recorder::Put(const Image& image) {
  InSimulator in;
  MORSEL_CHECK(!recording_);
  const auto put = [&](LineNumber line, const Line& content) {
    if (shadow_[line] == content) return;
    shadow_[line] = content;
    std::memcpy(ViewOf(line), &content, kLineBytes);
  };
  for (const LineNumber line : dirty_) {
    if (!image.contains(line)) put(line, prepared_[line]);
  }
  dirty_.clear();
  for (const auto& [line, content] : image) {
    put(line, content);
    dirty_.insert(line);
  }
}

Image Recorder::Visible() const {
  Image image;
  for (const LineNumber line : dirty_) {
    if (shadow_[line] != prepared_[line]) image[line] = shadow_[line];
  }
  return image;
}

}  // namespace morsel::sim
