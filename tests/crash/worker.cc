#include "tests/crash/worker.h"

#include <signal.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "alloc/heap/layout/heap_layout.h"
#include "base/units.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kExtentBytesMax = 8 * kMiB;
constexpr uint64_t kGiantBytesMax = 2 * kGiB + kGiB / 2;
constexpr uint64_t kLargeBytes = kMiB;
constexpr uint64_t kBatchMax = 48;
constexpr uint64_t kScratchMax = 24;
constexpr uint64_t kSweptSlots = 128;

}  // namespace

bool Worker::ClaimThis(uint64_t slot, bool full) {
  if (table_.busy[slot].exchange(true, std::memory_order_acquire)) return false;
  if (static_cast<bool>(log_.slots[slot].now) == full) return true;
  Release(slot);
  return false;
}

// A slot that nobody else is busy with, from a random one on; kSlotsMax where there is none.
uint64_t Worker::Claim(bool full) {
  const uint64_t first = random_.Below(slots_);
  for (uint64_t i = 0; i < slots_; ++i) {
    if (ClaimThis((first + i) % slots_, full)) return (first + i) % slots_;
  }
  return kSlotsMax;
}

Object Worker::NextObject(uint64_t size_bytes) {
  return {.serial = ++log_.threads[number_].last_serial,
          .owner = number_,
          .size_bytes = size_bytes,
          .seed = random_.Any()};
}

uint64_t Worker::RandomSize() {
  const Workload& is = heap_.workload();
  uint64_t draw = random_.Below(1000);
  if (draw < is.giants) return random_.Between(kGiB + 1, kGiantBytesMax);
  if (draw < is.giants + is.extents) {
    const uint64_t extent = random_.Logarithmic(alloc::kUnitBytes, kExtentBytesMax);
    if (table_.live_bytes + extent <= is.live_bytes_max) return extent;
    draw = 999;
  }
  return draw < is.giants + is.extents + is.middles ? random_.Logarithmic(kKiB, alloc::kUnitBytes)
                                                    : random_.Between(1, kKiB);
}

std::optional<HeldObject> Worker::Make(uint64_t size_bytes) {
  std::atomic<bool>& taking = log_.threads[number_].taking;
  taking.store(true);
  void* const block = heap_.Allocate(size_bytes, random_);
  if (block != nullptr) heap_.Mark(block, static_cast<uint8_t>(kHeld + number_));
  taking.store(false);
  if (block == nullptr) {
    NoSpace();
    return std::nullopt;
  }
  table_.live_bytes += size_bytes;
  const HeldObject held = {static_cast<char*>(block), NextObject(size_bytes)};
  heap_.Write(held.block, held.object);
  return held;
}

// Something large makes room.
void Worker::NoSpace() {
  heap_.Count(Operation::kNoSpace);
  for (uint64_t slot = 0; slot < slots_; ++slot) {
    if (!ClaimThis(slot, true)) continue;
    if (log_.slots[slot].now.size_bytes >= kLargeBytes) return DropFrom(slot);
    Release(slot);
  }
}

void Worker::Persist(const HeldObject& held) {
  heap_.Flush(held.block, held.object.size_bytes);
  heap_.Fence();
}

void Worker::Link(std::span<const Linking> all) {
  for (const auto& [slot, held] : all) {
    log_.slots[slot].Begin(held.object);
    heap_.Point(slot, held.block);
  }
  heap_.Fence();
  for (const auto& [slot, held] : all) {
    heap_.Mark(held.block, kLinked);
    log_.slots[slot].Finish();
    if (held.object.size_bytes > kGiB) ++log_.giants;
    Release(slot);
  }
}

// The slot stays the caller's.
HeldObject Worker::Unlink(uint64_t slot) {
  SlotLog& logged = log_.slots[slot];
  const HeldObject held = {static_cast<char*>(heap_.Pointee(slot)), logged.now};
  heap_.Mark(held.block, static_cast<uint8_t>(kHeld + number_));
  logged.Begin({});
  if (lie_ == Lie::kFreesBeforeUnlinking) {
    heap_.Free(held.block);
    raise(SIGKILL);
  }
  heap_.Point(slot, nullptr);
  heap_.Fence();
  logged.Finish();
  return held;
}

void Worker::Compare(const HeldObject& held, uint64_t size_bytes) {
  const std::string difference = heap_.Difference(held.block, held.object, size_bytes);
  if (!difference.empty()) Fail(log_.failure, "before any kill: " + difference);
}

void Worker::Free(const HeldObject& held) {
  heap_.Mark(held.block, static_cast<uint8_t>(kFreed + number_));
  heap_.Free(held.block);
  table_.live_bytes -= held.object.size_bytes;
  if (lie_ != Lie::kWritesAfterFreeing) return;
  // Into what is another's by now.
  Object stale = held.object;
  stale.size_bytes = 3 * sizeof(uint64_t);
  for (uint64_t slot = 0; slot < slots_; ++slot) {
    if (log_.slots[slot].now.size_bytes < stale.size_bytes) continue;
    heap_.Write(heap_.Pointee(slot), stale);
    raise(SIGKILL);
  }
}

void Worker::Put() {
  const std::optional<HeldObject> held = Make(RandomSize());
  if (!held) return;
  Persist(*held);
  const uint64_t slot = Claim(false);
  if (slot == kSlotsMax) return Free(*held);
  log_.steps.Raise();
  Link(slot, *held);
}

void Worker::Batch() {
  std::vector<HeldObject> objects;
  const bool alike = random_.OneIn(2);
  const uint64_t size_bytes = random_.Logarithmic(16, 16 * kKiB);
  for (uint64_t left = random_.Between(2, kBatchMax); left > 0; --left) {
    const std::optional<HeldObject> held = Make(alike ? size_bytes : random_.Between(1, 2000));
    if (!held) break;
    heap_.Flush(held->block, held->object.size_bytes);
    objects.push_back(*held);
    log_.steps.Raise();
  }
  heap_.Fence();
  std::vector<Linking> linking;
  for (const HeldObject& held : objects) {
    const uint64_t slot = Claim(false);
    slot == kSlotsMax ? Free(held) : linking.push_back({slot, held});
  }
  Link(linking);
}

void Worker::DropFrom(uint64_t slot) {
  const HeldObject held = Unlink(slot);
  Release(slot);
  log_.steps.Raise();
  if (random_.OneIn(4)) Compare(held, held.object.size_bytes);
  Free(held);
}

void Worker::Drop() {
  for (uint64_t left = random_.OneIn(32) ? kBatchMax : 1; left > 0; --left) {
    const uint64_t slot = Claim(true);
    if (slot == kSlotsMax) return;
    DropFrom(slot);
  }
}

void Worker::Replace() {
  const std::optional<HeldObject> after = Make(RandomSize());
  if (!after) return;
  Persist(*after);
  const uint64_t slot = Claim(true);
  if (slot == kSlotsMax) return Free(*after);
  const HeldObject before = {static_cast<char*>(heap_.Pointee(slot)), log_.slots[slot].now};
  heap_.Mark(before.block, static_cast<uint8_t>(kHeld + number_));
  log_.steps.Raise();
  Link(slot, *after);
  Free(before);
}

void Worker::Reallocate() {
  const uint64_t slot = Claim(true);
  if (slot == kSlotsMax) return;
  HeldObject held = Unlink(slot);
  const uint64_t before = held.object.size_bytes;
  const uint64_t after = random_.OneIn(2) ? RandomSize() : random_.Between(1, before + before / 2);
  std::atomic<bool>& taking = log_.threads[number_].taking;
  const bool in_place = after <= before && after > alloc::kUnitBytes;
  if (in_place || std::max(before, after) <= 2 * kExtentBytesMax) {  // moving copies every byte
    taking.store(true);
    heap_.Mark(held.block, static_cast<uint8_t>(kFreed + number_));
    void* const moved = heap_.Reallocate(held.block, after);
    if (moved != nullptr) held.block = static_cast<char*>(moved);
    heap_.Mark(held.block, static_cast<uint8_t>(kHeld + number_));
    taking.store(false);
    if (moved != nullptr) {
      Compare(held, std::min(before, after));
      table_.live_bytes += after - before;
      held.object = NextObject(after);
      heap_.Write(held.block, held.object);
    }
  }
  Persist(held);
  log_.steps.Raise();
  Link(slot, held);
}

void Worker::PassOn() {
  std::optional<HeldObject> mine = Make(RandomSize());
  {
    const std::lock_guard lock(table_.mutex);
    std::swap(table_.places[random_.Below(table_.places.size())], mine);
  }
  if (!mine) return;
  Compare(*mine, mine->object.size_bytes);
  heap_.Mark(mine->block, static_cast<uint8_t>(kHeld + number_));
  const uint64_t slot = random_.OneIn(2) ? Claim(false) : kSlotsMax;
  if (slot == kSlotsMax) return Free(*mine);
  Persist(*mine);
  Link(slot, *mine);
}

void Worker::Scratch() {
  if (lie_ == Lie::kForgetsABlock) {
    // A small one might have been taken ahead.
    if (const std::optional<HeldObject> forgotten = Make(100'000)) heap_.Mark(forgotten->block, 0);
    raise(SIGKILL);
  }
  std::vector<HeldObject> objects;
  for (uint64_t left = random_.Between(1, kScratchMax); left > 0; --left) {
    const std::optional<HeldObject> held = Make(random_.Logarithmic(1, 100 * kKiB));
    if (!held) break;
    objects.push_back(*held);
    log_.steps.Raise();
  }
  while (!objects.empty()) {
    std::swap(objects[random_.Below(objects.size())], objects.back());
    Compare(objects.back(), objects.back().object.size_bytes);
    Free(objects.back());
    objects.pop_back();
  }
}

void Worker::Sweep() {
  const uint64_t size_bytes = random_.Logarithmic(256, 16 * kKiB);
  const uint64_t first = random_.Below(slots_ - kSweptSlots);
  const bool fills = random_.OneIn(2);
  for (uint64_t slot = first; slot < first + kSweptSlots; ++slot) {
    if (!ClaimThis(slot, !fills)) continue;
    if (!fills) {
      DropFrom(slot);
    } else if (const std::optional<HeldObject> held = Make(size_bytes)) {
      Persist(*held);
      Link(slot, *held);
    } else {
      return Release(slot);
    }
    log_.steps.Raise();
  }
}

void Worker::Lose() { (void)Make(random_.Between(1, 200)); }

void Worker::Do(Operation operation) {
  switch (operation) {
    case Operation::kPut:
      return Put();
    case Operation::kBatch:
      return Batch();
    case Operation::kDrop:
      return Drop();
    case Operation::kReplace:
      return Replace();
    case Operation::kReallocate:
      return Reallocate();
    case Operation::kPassOn:
      return PassOn();
    case Operation::kScratch:
      return Scratch();
    case Operation::kSweep:
      return Sweep();
    case Operation::kLose:
      return Lose();
    case Operation::kSettle:
      return heap_.Settle();
    default:
      heap_.Resize(random_);
  }
}

void Worker::Work() {
  const auto& weights = heap_.workload().weights;
  uint64_t draw = random_.Below(std::accumulate(weights.begin(), weights.end(), uint64_t{0}));
  uint64_t chosen = 0;
  for (; draw >= weights[chosen]; ++chosen) draw -= weights[chosen];
  const auto operation = static_cast<Operation>(chosen);
  Do(operation);
  heap_.Count(operation);
  log_.steps.Raise();
}

void Worker::ClearTable() {
  for (std::optional<HeldObject>& place : table_.places) {
    if (const auto held = std::exchange(place, std::nullopt)) Free(*held);
  }
}

}  // namespace morsel::crash
