#include "alloc/heap/heap_sim_promises_testing.h"

#include "alloc/heap/threads/magazines.h"

namespace morsel::alloc {

HeapPromises::HeapPromises(const sim::Log& prepared, const sim::Log& log, uint64_t slots)
    : holds_(slots, {0}) {
  Read(prepared);
  Read(log);
}

void HeapPromises::Read(const sim::Log& log) {
  for (const sim::LogEntry& entry : log.entries()) {
    if (entry.kind != sim::LogEntry::Kind::kNoted) continue;
    const uint64_t first = entry.words[0];
    const uint64_t second = entry.words[1];
    switch (entry.what) {
      case kMade:
        objects_[first].bytes = second;
        if (const uint64_t next_class = entry.words[2]; next_class != 0) {
          used_.insert({entry.thread, static_cast<unsigned>(next_class - 1)});
        }
        break;
      case kMayHold:
        holds_[first].push_back(second);
        break;
      case kHolds:
        Hold(first, second);
        break;
      case kFreed:
        objects_[first].state = State::kFreed;
        break;
      case kSettling:
        Replace(State::kFreed, State::kSettling);
        break;
      case kSettled:
        Replace(State::kSettling, State::kGone);
        break;
      default:
        Replace(State::kFreed, State::kUnlinked);
        Replace(State::kSettling, State::kUnlinked);
        ahead_before_ += AheadBytesMax();
        used_.clear();
    }
  }
}

void HeapPromises::Hold(uint64_t slot, uint64_t object) {
  for (const uint64_t other : holds_[slot]) {
    if (other != 0 && objects_[other].state == State::kLinked) {
      objects_[other].state = State::kUnlinked;
    }
  }
  if (object != 0) objects_[object].state = State::kLinked;
  holds_[slot] = {object};
}

void HeapPromises::Replace(State from, State to) {
  for (auto& [serial, object] : objects_) {
    if (object.state == from) object.state = to;
  }
}

uint64_t HeapPromises::UnlinkedBytesMax(bool settled) const {
  uint64_t bytes = ahead_before_ + (settled ? 0 : AheadBytesMax());
  for (const auto& [serial, object] : objects_) {
    const bool freed = object.state == State::kFreed || object.state == State::kSettling;
    if (object.state == State::kUnlinked || (freed && !settled)) bytes += object.bytes;
  }
  return bytes;
}

uint64_t HeapPromises::AheadBytesMax() const {
  uint64_t bytes = 0;
  for (const auto& [thread, size_class] : used_) {
    bytes += Magazines::Places(size_class) * BlockBytes(size_class);
  }
  return bytes;
}

}  // namespace morsel::alloc
