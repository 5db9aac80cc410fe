#include "sim/model/medium_state.h"

#include "base/checksum.h"

namespace morsel::sim {

Line UndecidedLine::After(size_t count) const {
  Line line = durable;
  for (size_t i = 0; i < count; ++i) line[stores[i].word] = stores[i].value;
  return line;
}

void MediumState::Flush(const Event& event) {
  const auto end = undecided_.lower_bound(event.place + event.value);
  for (auto found = undecided_.lower_bound(event.place); found != end; ++found) {
    flushed_[event.thread][found->first] = found->second.decided + found->second.stores.size();
  }
}

void MediumState::Fence(uint8_t thread) {
  const auto flushed = flushed_.find(thread);
  if (flushed == flushed_.end()) return;
  for (const auto& [number, covered] : flushed->second) {
    const auto found = undecided_.find(number);
    if (found == undecided_.end() || covered <= found->second.decided) continue;
    UndecidedLine& line = found->second;
    const size_t count = covered - line.decided;
    line.durable = line.After(count);
    line.stores.erase(line.stores.begin(), line.stores.begin() + static_cast<ptrdiff_t>(count));
    line.decided = covered;
    durable_[number] = line.durable;
    if (!line.stores.empty()) continue;
    // Its next store begins a history of its own, counted from zero.
    for (auto& [other, lines] : flushed_) {
      if (other != thread) lines.erase(number);
    }
    undecided_.erase(found);
  }
  flushed_.erase(flushed);
}

Image MediumState::Visible() const { return After(Newest()); }

Image MediumState::After(const Choice& choice) const {
  Image image = durable_;
  size_t i = 0;
  for (const auto& [number, line] : undecided_) image[number] = line.After(choice[i++]);
  return image;
}

Choice MediumState::Newest() const {
  Choice choice;
  for (const auto& [number, line] : undecided_) choice.push_back(line.stores.size());
  return choice;
}

uint64_t MediumState::Hash() const {
  uint64_t hash = 0;
  for (const auto& [number, line] : durable_) {
    if (!undecided_.contains(number)) hash ^= HashOfLine(number, line);
  }
  for (const auto& [number, line] : undecided_) {
    hash ^= HashOfLine(number, line.durable);
    uint64_t history = number;
    for (const UndecidedStore& store : line.stores) {
      const uint64_t words[] = {history, store.word, store.value};
      history = Checksum64(words, sizeof words);
    }
    hash ^= history;
  }
  return hash;
}

uint64_t HashOfLine(LineNumber number, const Line& line) {
  return Checksum64(line.data(), sizeof line) * (2 * number + 0x9e3779b97f4a7c15);
}

}  // namespace morsel::sim
