// What is durable and what is undecided on the medium at one point of a trace. The images that a
// crash there may leave follow from it.
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

/// A line whose last stores may not be durable.
struct UndecidedLine {
  Line durable;
  uint64_t decided = 0;  ///< how many stores have become durable since this history began
  std::vector<UndecidedStore> stores;

  /// The line with its first `count` undecided stores.
  Line After(size_t count) const;
};

/// How many of its stores each undecided line keeps, in the order of lines.
using Choice = std::vector<size_t>;

/// Cheap enough to copy.
class MediumState {
 public:
  /// Everything is durable.
  MediumState() = default;
  explicit MediumState(Image durable) : durable_(std::move(durable)) {}

  /// Applies one event. `prepared` returns what a line held before its first recorded store.
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

  /// Notes the death of the process: what it flushed will never be fenced.
  void Kill() { flushed_.clear(); }

  /// Drops the durable content of lines of which nothing is undecided. From then on images leave
  /// them out, and `prepared` is asked for them again.
  void ForgetDecided() { durable_.clear(); }

  const std::map<LineNumber, UndecidedLine>& undecided() const { return undecided_; }

  /// The visible medium: with all stores.
  Image Visible() const;
  /// The medium as a power cut leaves it, with as many stores of each undecided line as `choice`
  /// says.
  Image After(const Choice& choice) const;
  /// The choice that keeps all stores.
  Choice Newest() const;

  /// A hash of what is durable and what is undecided.
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
  /// For each thread, the lines that it flushed and has not fenced since, and how many of their
  /// stores that covers.
  std::map<uint8_t, std::map<LineNumber, uint64_t>> flushed_;
};

/// A hash of an image. Lines that are as they were prepared do not count, so equal images have
/// equal hashes.
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
