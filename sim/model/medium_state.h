// What of the medium is durable, what is undecided, and so which images a crash
// may leave at this point of a trace.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "sim/model/crash_model.h"

namespace morsel::sim {

struct UndecidedStore {
  uint8_t word;  ///< in the line
  uint64_t value;
  const void* pc;
};

/// A line whose last stores need not be durable.
struct UndecidedLine {
  Line durable;
  uint64_t decided = 0;  ///< stores that have become durable since the line got this history
  std::vector<UndecidedStore> stores;

  /// The line with its first `count` undecided stores.
  Line After(size_t count) const;
};

/// How many of its stores each undecided line keeps, in the order of lines.
using Choice = std::vector<size_t>;

/// Copied freely.
class MediumState {
 public:
  /// All of it is durable.
  MediumState() = default;
  explicit MediumState(Image durable) : durable_(std::move(durable)) {}

  /// Goes on by one event. `prepared` answers what a line held that no store was seen to.
  template <class Prepared>
  void Apply(const Event& event, const Prepared& prepared) {
    switch (event.kind) {
      case Event::Kind::kStore:
        return Store(event, prepared);
      case Event::Kind::kFlush:
        return Flush(event);
      case Event::Kind::kFence:
        return Fence(event.thread);
      case Event::Kind::kLog:
        return;
    }
  }

  /// The process has died: what was flushed will never be fenced.
  void Kill() { flushed_.clear(); }

  const std::map<LineNumber, UndecidedLine>& undecided() const { return undecided_; }

  /// The medium as it is seen: with all stores.
  Image Visible() const;
  /// As a power cut leaves it, with so many stores of each undecided line.
  Image After(const Choice& choice) const;
  /// The choice of all stores.
  Choice Newest() const;

  /// Of what is durable and what is not.
  uint64_t Hash() const;

 private:
  template <class Prepared>
  void Store(const Event& event, const Prepared& prepared) {
    const LineNumber line = event.place / kWordsPerLine;
    const auto [found, is_new] = undecided_.try_emplace(line);
    if (is_new) {
      const auto durable = durable_.find(line);
      found->second.durable = durable != durable_.end() ? durable->second : prepared(line);
    }
    found->second.stores.push_back(
        {static_cast<uint8_t>(event.place % kWordsPerLine), event.value, event.pc});
  }
  void Flush(const Event& event);
  void Fence(uint8_t thread);

  Image durable_;
  std::map<LineNumber, UndecidedLine> undecided_;
  /// By thread: lines flushed and not fenced since, and how many of their stores that covers.
  std::map<uint8_t, std::map<LineNumber, uint64_t>> flushed_;
};

/// Of an image, whatever it was made from; lines as prepared count for nothing.
template <class Prepared>
uint64_t HashOf(const Image& image, const Prepared& prepared);

uint64_t HashOfLine(LineNumber number, const Line& line);

template <class Prepared>
uint64_t HashOf(const Image& image, const Prepared& prepared) {
  uint64_t hash = 0;
  for (const auto& [number, line] : image) {
    if (line != prepared(number)) hash ^= HashOfLine(number, line);
  }
  return hash;
}

}  // namespace morsel::sim
