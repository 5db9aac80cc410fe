#include "tests/crash/heap/heap_worker.h"

#include <signal.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kExtentBytesMax = 8 * kMiB;
constexpr uint64_t kGiantBytesMax = 2 * kGiB + kGiB / 2;
constexpr uint64_t kLargeBytes = kMiB;
constexpr uint64_t kBatchMax = 48;
constexpr uint64_t kScratchMax = 24;

}  // namespace

// A slot that nobody else is busy with, from a random one on; kHeapSlots where there is none.
uint64_t HeapWorker::Claim(bool full) {
  const uint64_t first = random_.Below(kHeapSlots);
  for (uint64_t i = 0; i < kHeapSlots; ++i) {
    const uint64_t slot = (first + i) % kHeapSlots;
    if (table_.busy[slot].exchange(true, std::memory_order_acquire)) continue;
    if ((file_.Pointee(slot) != nullptr) == full) return slot;
    Release(slot);
  }
  return kHeapSlots;
}

Object HeapWorker::NextObject(uint64_t size_bytes) {
  return {.serial = ++log_.threads[number_].last_serial,
          .owner = number_,
          .size_bytes = size_bytes,
          .seed = random_.Any()};
}

uint64_t HeapWorker::RandomSize() {
  const uint64_t draw = random_.Below(1000);
  if (draw < 8) return random_.Between(kGiB + 1, kGiantBytesMax);
  if (draw < 40) return random_.Logarithmic(alloc::kUnitBytes, kExtentBytesMax);
  return draw < 160 ? random_.Logarithmic(kKiB, alloc::kUnitBytes) : random_.Between(1, kKiB);
}

std::optional<HeldObject> HeapWorker::Make(uint64_t size_bytes) {
  const uint64_t alignment = random_.OneIn(4) ? uint64_t{1} << random_.Below(14) : 16;
  std::atomic<bool>& taking = log_.threads[number_].taking;
  taking.store(true);
  const Result<void*> block = file_.heap().Allocate(size_bytes, alignment);
  if (block) Mark(*block, static_cast<uint8_t>(kHeld + number_));
  taking.store(false);
  if (!block) {
    if (block.error() != Code::kNoSpace) Fail(log_.failure, LastError());
    NoSpace();
    return std::nullopt;
  }
  const HeldObject held = {static_cast<char*>(*block), NextObject(size_bytes)};
  HeapFile::Write(held.block, held.object);
  return held;
}

// Something large makes room.
void HeapWorker::NoSpace() {
  ++log_.counts[static_cast<uint64_t>(HeapOperation::kNoSpace)];
  for (uint64_t slot = 0; slot < kHeapSlots; ++slot) {
    if (table_.busy[slot].exchange(true, std::memory_order_acquire)) continue;
    if (log_.slots[slot].now.size_bytes >= kLargeBytes) return DropFrom(slot);
    Release(slot);
  }
}

void HeapWorker::Flush(const HeldObject& held) {
  if (!file_.heap().Flush(held.block, held.object.size_bytes).ok()) {
    Fail(log_.failure, LastError());
  }
}

void HeapWorker::Persist(const HeldObject& held) {
  Flush(held);
  file_.heap().Fence();
}

void HeapWorker::Link(uint64_t slot, const HeldObject& held) {
  HeapSlotLog& logged = log_.slots[slot];
  logged.Begin(held.object);
  file_.heap().persist().Publish(file_.Slot(slot), reinterpret_cast<uint64_t>(held.block));
  Mark(held.block, kLinked);
  logged.Finish();
  if (held.object.size_bytes > kGiB) ++log_.giants;
  Release(slot);
}

// The slot stays the caller's.
HeldObject HeapWorker::Unlink(uint64_t slot) {
  HeapSlotLog& logged = log_.slots[slot];
  const HeldObject held = {static_cast<char*>(file_.Pointee(slot)), logged.now};
  Mark(held.block, static_cast<uint8_t>(kHeld + number_));
  logged.Begin({});
  if (lie_ == HeapLie::kFreesBeforeUnlinking) {
    logged.Finish();
    file_.heap().Free(held.block);
    raise(SIGKILL);
  }
  file_.heap().persist().Publish(file_.Slot(slot), 0);
  logged.Finish();
  return held;
}

void HeapWorker::Compare(const HeldObject& held, uint64_t size_bytes) {
  const std::string difference = HeapFile::Difference(held.block, held.object, size_bytes);
  if (!difference.empty()) Fail(log_.failure, "before any kill: " + difference);
}

void HeapWorker::Free(const HeldObject& held) {
  Mark(held.block, static_cast<uint8_t>(kFreed + number_));
  file_.heap().Free(held.block);
  if (lie_ != HeapLie::kWritesAfterFreeing) return;
  // Into what is another's by now.
  Object stale = held.object;
  stale.size_bytes = 3 * sizeof(uint64_t);
  for (uint64_t slot = 0; slot < kHeapSlots; ++slot) {
    if (log_.slots[slot].now.size_bytes < stale.size_bytes) continue;
    HeapFile::Write(file_.Pointee(slot), stale);
    raise(SIGKILL);
  }
}

void HeapWorker::Put() {
  const std::optional<HeldObject> held = Make(RandomSize());
  if (!held) return;
  Persist(*held);
  const uint64_t slot = Claim(false);
  if (slot == kHeapSlots) return Free(*held);
  log_.steps.Raise();
  Link(slot, *held);
}

void HeapWorker::Batch() {
  std::vector<HeldObject> objects;
  const bool alike = random_.OneIn(2);
  const uint64_t size_bytes = random_.Logarithmic(16, 16 * kKiB);
  for (uint64_t left = random_.Between(2, kBatchMax); left > 0; --left) {
    const std::optional<HeldObject> held = Make(alike ? size_bytes : random_.Between(1, 2000));
    if (!held) break;
    Flush(*held);
    objects.push_back(*held);
    log_.steps.Raise();
  }
  file_.heap().Fence();
  for (const HeldObject& held : objects) {
    const uint64_t slot = Claim(false);
    slot == kHeapSlots ? Free(held) : Link(slot, held);
  }
}

void HeapWorker::DropFrom(uint64_t slot) {
  const HeldObject held = Unlink(slot);
  Release(slot);
  log_.steps.Raise();
  if (random_.OneIn(4)) Compare(held, held.object.size_bytes);
  Free(held);
}

void HeapWorker::Drop() {
  for (uint64_t left = random_.OneIn(32) ? kBatchMax : 1; left > 0; --left) {
    const uint64_t slot = Claim(true);
    if (slot == kHeapSlots) return;
    DropFrom(slot);
  }
}

void HeapWorker::Replace() {
  const std::optional<HeldObject> after = Make(RandomSize());
  if (!after) return;
  Persist(*after);
  const uint64_t slot = Claim(true);
  if (slot == kHeapSlots) return Free(*after);
  const HeldObject before = {static_cast<char*>(file_.Pointee(slot)), log_.slots[slot].now};
  Mark(before.block, static_cast<uint8_t>(kHeld + number_));
  log_.steps.Raise();
  Link(slot, *after);
  Free(before);
}

void HeapWorker::Reallocate() {
  const uint64_t slot = Claim(true);
  if (slot == kHeapSlots) return;
  HeldObject held = Unlink(slot);
  const uint64_t before = held.object.size_bytes;
  const uint64_t after = random_.OneIn(2) ? RandomSize() : random_.Between(1, before + before / 2);
  std::atomic<bool>& taking = log_.threads[number_].taking;
  const bool in_place = after <= before && after > alloc::kUnitBytes;
  if (in_place || std::max(before, after) <= 2 * kExtentBytesMax) {  // moving copies every byte
    taking.store(true);
    Mark(held.block, static_cast<uint8_t>(kFreed + number_));
    const Result<void*> moved = file_.heap().Reallocate(held.block, after);
    if (!moved && moved.error() != Code::kNoSpace) Fail(log_.failure, LastError());
    if (moved) held.block = static_cast<char*>(*moved);
    Mark(held.block, static_cast<uint8_t>(kHeld + number_));
    taking.store(false);
    if (moved) {
      Compare(held, std::min(before, after));
      held.object = NextObject(after);
      HeapFile::Write(held.block, held.object);
    }
  }
  Persist(held);
  log_.steps.Raise();
  Link(slot, held);
}

void HeapWorker::PassOn() {
  std::optional<HeldObject> mine = Make(RandomSize());
  {
    const std::lock_guard lock(table_.mutex);
    std::swap(table_.places[random_.Below(table_.places.size())], mine);
  }
  if (!mine) return;
  Compare(*mine, mine->object.size_bytes);
  Mark(mine->block, static_cast<uint8_t>(kHeld + number_));
  const uint64_t slot = random_.OneIn(2) ? Claim(false) : kHeapSlots;
  if (slot == kHeapSlots) return Free(*mine);
  Persist(*mine);
  Link(slot, *mine);
}

void HeapWorker::Scratch() {
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

void HeapWorker::Lose() {
  const bool lies = lie_ == HeapLie::kForgetsABlock;
  // A small one might have been taken ahead.
  const std::optional<HeldObject> held = Make(lies ? 100'000 : random_.Between(1, 200));
  if (!held || !lies) return;
  Mark(held->block, 0);
  raise(SIGKILL);
}

void HeapWorker::Resize() {
  const auto stopped = file_.heap().StopTheWorld();
  const uint64_t size_bytes = random_.Between(1, 32) * kSubtreeBytes;
  if (size_bytes >= file_.heap().size_bytes()) return;
  if (file_.heap().Shrink(size_bytes).ok()) log_.heap_bytes.store(size_bytes);
}

void HeapWorker::ClearTable() {
  for (std::optional<HeldObject>& place : table_.places) {
    if (const auto held = std::exchange(place, std::nullopt)) Free(*held);
  }
}

}  // namespace morsel::crash
