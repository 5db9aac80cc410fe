#include "tests/crash/direct_shelf.h"

#include <signal.h>

#include <cerrno>

#include "base/units.h"
#include "tests/crash/direct_pool.h"

namespace morsel::crash {
namespace {

/// What a shelf's objects have together at most, so that there is always room for a checker's.
constexpr uint64_t kShelfBytesMax = 9 * kMiB;
constexpr uint64_t kExtentBytesMin = 64 * kKiB;
constexpr uint64_t kExtentBytesMax = 8 * kMiB;
/// The slots that Sweep() works on; the others are everybody's.
constexpr uint64_t kSweepBegin = 112;
constexpr uint64_t kScratchBlocksMax = 12;

}  // namespace

DirectShelf::DirectShelf(DirectLog& log, uint64_t number, morsel_t* morsel, Lie lie)
    : whole_(log), log_(log.shelves[number]), number_(number), morsel_(morsel), lie_(lie) {
  for (const Object& object : log_.slots) live_bytes_ += object.size_bytes;
  if (log_.array.load() != Presence::kPresent) MakeArray();
}

void DirectShelf::MakeArray() {
  log_.Begin({}, 1);
  log_.array.store(Presence::kComing);
  void* const array = morsel_calloc(morsel_, kArraySlots, sizeof(uint64_t));
  if (array == nullptr) GiveUp(whole_.complaint, "no room for a shelf's array");
  Must(whole_.complaint, "morsel_persist",
       morsel_persist(morsel_, array, kArraySlots * sizeof(uint64_t)));
  Must(whole_.complaint, "morsel_set_root",
       morsel_set_root(morsel_, ArrayName(number_).c_str(), array));
  log_.array.store(Presence::kPresent);
  log_.Cancel();
}

Object DirectShelf::NextObject(uint64_t size_bytes, Dice& dice) {
  return {
      .serial = ++log_.last_serial, .owner = number_, .size_bytes = size_bytes, .seed = dice.Any()};
}

uint64_t DirectShelf::RandomSize(Dice& dice) const {
  if (dice.OneIn(12)) {
    const uint64_t extent = dice.Logarithmic(kExtentBytesMin, kExtentBytesMax);
    if (live_bytes_ + extent <= kShelfBytesMax) return extent;
  }
  return dice.OneIn(6) ? dice.Logarithmic(1 * kKiB, 64 * kKiB) : dice.Between(1, 1 * kKiB);
}

uint64_t DirectShelf::FindSlot(bool full, uint64_t begin, uint64_t end, Dice& dice) const {
  const uint64_t count = end - begin;
  const uint64_t first = dice.Below(count);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t slot = begin + (first + i) % count;
    if (static_cast<bool>(log_.slots[slot]) == full) return slot;
  }
  return kSlots;
}

void DirectShelf::NoSpace() {
  if (errno != ENOMEM) GiveUp(whole_.complaint, std::string("no block: ") + morsel_last_error());
  ++whole_.counts[static_cast<uint64_t>(Operation::kNoSpace)];
}

void DirectShelf::Free(void* block) {
  Mark(block, kGivenBack);
  morsel_free(morsel_, block);
}

void* DirectShelf::Allocate(uint64_t size_bytes, Dice& dice) {
  void* const block = AllocateAnyhow(size_bytes, dice);
  if (block != nullptr) Mark(block, kGiven);
  return block;
}

void* DirectShelf::AllocateAnyhow(uint64_t size_bytes, Dice& dice) {
  switch (dice.Below(5)) {
    case 0:
      return morsel_calloc(morsel_, 1, size_bytes);
    case 1:
      return morsel_aligned_alloc(morsel_, uint64_t{1} << dice.Below(13), size_bytes);
    case 2: {
      void* const first = morsel_malloc(morsel_, dice.Between(1, size_bytes * 2));
      if (first == nullptr) return nullptr;
      Mark(first, kGivenBack);  // or given again, where it does not move
      void* const second = morsel_realloc(morsel_, first, size_bytes);
      if (second == nullptr) Free(first);
      return second;
    }
    default:
      return morsel_malloc(morsel_, size_bytes);
  }
}

// An object that may be linked, or nullptr.
void* DirectShelf::Persisted(const Object& object, Dice& dice) {
  void* const block = Allocate(object.size_bytes, dice);
  if (block == nullptr) return nullptr;
  WriteObject(block, object);
  Must(whole_.complaint, "morsel_persist", morsel_persist(morsel_, block, object.size_bytes));
  return block;
}

void DirectShelf::Link(uint64_t slot, void* object) {
  if (slot >= kArraySlots) {
    Must(whole_.complaint, "morsel_set_root",
         morsel_set_root(morsel_, RootName(number_, slot).c_str(), object));
    return;
  }
  uint64_t* const place = ArraySlot(morsel_, number_, slot);
  std::atomic_ref(*place).store(reinterpret_cast<uint64_t>(object));
  Must(whole_.complaint, "morsel_persist", morsel_persist(morsel_, place, sizeof *place));
}

bool DirectShelf::PutInto(uint64_t slot, uint64_t size_bytes, Dice& dice) {
  const Change change = {slot, {}, NextObject(size_bytes, dice)};
  log_.Begin({&change, 1}, 2);
  void* const object = Persisted(change.after, dice);
  whole_.steps.Raise();
  if (object == nullptr) {
    NoSpace();
    log_.Cancel();
    return false;
  }
  Link(slot, object);
  live_bytes_ += size_bytes;
  log_.Finish();
  return true;
}

void DirectShelf::Put(Dice& dice) {
  const uint64_t slot = dice.OneIn(10) ? FindSlot(false, kArraySlots, kSlots, dice)
                                       : FindSlot(false, 0, kSweepBegin, dice);
  if (slot == kSlots) return Drop(dice);
  PutInto(slot, RandomSize(dice), dice);
}

void DirectShelf::PutBatch(Dice& dice) {
  std::vector<Change> changes;
  std::vector<void*> objects;
  const uint64_t wanted = dice.Between(2, kChangesMax);
  for (uint64_t slot = 0; slot < kSweepBegin && changes.size() < wanted; ++slot) {
    if (!log_.slots[slot]) changes.push_back({slot, {}, NextObject(dice.Between(1, 2000), dice)});
  }
  log_.Begin(changes, changes.size() + 1);
  for (const Change& change : changes) {
    void* const object = Allocate(change.after.size_bytes, dice);
    if (object == nullptr) {
      NoSpace();
      for (void* block : objects) Free(block);
      return log_.Cancel();
    }
    objects.push_back(object);
    WriteObject(object, change.after);
    Must(whole_.complaint, "morsel_flush", morsel_flush(morsel_, object, change.after.size_bytes));
    whole_.steps.Raise();
  }
  Must(whole_.complaint, "morsel_fence", morsel_fence(morsel_));
  for (size_t i = 0; i < changes.size(); ++i) {
    uint64_t* const place = ArraySlot(morsel_, number_, changes[i].slot);
    std::atomic_ref(*place).store(reinterpret_cast<uint64_t>(objects[i]));
    Must(whole_.complaint, "morsel_flush", morsel_flush(morsel_, place, sizeof *place));
    live_bytes_ += changes[i].after.size_bytes;
  }
  Must(whole_.complaint, "morsel_fence", morsel_fence(morsel_));
  log_.Finish();
}

void DirectShelf::DropFrom(uint64_t slot, Dice& dice) {
  const Change change = {slot, log_.slots[slot], {}};
  void* const object = Pointee(morsel_, number_, slot);
  if (dice.OneIn(8)) {
    const std::string difference = Difference(object, change.before);
    if (!difference.empty()) GiveUp(whole_.complaint, "before any kill: " + difference);
  }
  log_.Begin({&change, 1}, 1);
  if (lie_ == Lie::kFreesBeforeUnlinking && slot < kArraySlots) {
    Free(object);
    raise(SIGKILL);
  }
  Link(slot, nullptr);
  whole_.steps.Raise();
  Free(object);
  live_bytes_ -= change.before.size_bytes;
  log_.Finish();
}

void DirectShelf::Drop(Dice& dice) {
  const uint64_t slot = dice.OneIn(10) ? FindSlot(true, kArraySlots, kSlots, dice)
                                       : FindSlot(true, 0, kSweepBegin, dice);
  if (slot != kSlots) DropFrom(slot, dice);
}

void DirectShelf::Replace(Dice& dice) {
  const uint64_t slot = FindSlot(true, 0, kSlots, dice);
  if (slot == kSlots) return Put(dice);
  const Change change = {slot, log_.slots[slot], NextObject(RandomSize(dice), dice)};
  void* const before = Pointee(morsel_, number_, slot);
  log_.Begin({&change, 1}, 2);
  void* const after = Persisted(change.after, dice);
  whole_.steps.Raise();
  if (after == nullptr) {
    NoSpace();
    return log_.Cancel();
  }
  Link(slot, after);
  Free(before);
  live_bytes_ += change.after.size_bytes - change.before.size_bytes;
  log_.Finish();
}

void DirectShelf::Scratch(Dice& dice) {
  std::vector<std::pair<void*, Object>> blocks;
  log_.Begin({}, kScratchBlocksMax + 1);
  if (lie_ == Lie::kForgetsABlock) {
    Mark(morsel_malloc(morsel_, 1000), kGiven);
    log_.Cancel();
    raise(SIGKILL);
  }
  const uint64_t wanted = dice.Between(1, kScratchBlocksMax);
  while (blocks.size() < wanted) {
    const Object object = NextObject(dice.Logarithmic(1, 300 * kKiB), dice);
    void* const block = Allocate(object.size_bytes, dice);
    if (block == nullptr) {
      NoSpace();
      break;
    }
    WriteObject(block, object);
    blocks.emplace_back(block, object);
    whole_.steps.Raise();
  }
  for (auto& [block, object] : blocks) {
    const std::string difference = Difference(block, object);
    if (!difference.empty()) GiveUp(whole_.complaint, "never linked: " + difference);
    Free(block);
  }
  log_.Cancel();
}

void DirectShelf::Sweep(Dice& dice) {
  uint64_t full = 0;
  for (uint64_t slot = kSweepBegin; slot < kArraySlots; ++slot) full += log_.slots[slot] ? 1 : 0;
  if (full > (kArraySlots - kSweepBegin) / 2) {
    for (uint64_t slot = kSweepBegin; slot < kArraySlots; ++slot) {
      if (log_.slots[slot]) DropFrom(slot, dice);
    }
    return;
  }
  const uint64_t size_bytes = dice.Logarithmic(256, 16 * kKiB);
  for (uint64_t slot = kSweepBegin; slot < kArraySlots; ++slot) {
    if (!log_.slots[slot] && !PutInto(slot, size_bytes, dice)) return;
  }
}

}  // namespace morsel::crash
