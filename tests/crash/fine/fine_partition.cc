#include "tests/crash/fine/fine_partition.h"

#include <signal.h>

#include <cerrno>

#include "base/units.h"
#include "tests/crash/fine/fine_pool.h"

namespace morsel::crash {
namespace {

/// What a partition's objects have together at most, so that there is always room for a checker's.
constexpr uint64_t kPartitionBytesMax = 9 * kMiB;
constexpr uint64_t kExtentBytesMin = 64 * kKiB;
constexpr uint64_t kExtentBytesMax = 8 * kMiB;
/// The slots that Sweep() works on; the others are everybody's.
constexpr uint64_t kSweepBegin = 112;
constexpr uint64_t kScratchBlocksMax = 12;

}  // namespace

FinePartition::FinePartition(FineLog& log, uint64_t number, morsel_t* morsel, Lie lie)
    : whole_(log), log_(log.partitions[number]), number_(number), morsel_(morsel), lie_(lie) {
  for (const Object& object : log_.slots) live_bytes_ += object.size_bytes;
  if (log_.array.load() != Presence::kPresent) MakeArray();
}

void FinePartition::MakeArray() {
  log_.Begin({}, 1);
  log_.array.store(Presence::kComing);
  void* const array = morsel_calloc(morsel_, kArraySlots, sizeof(uint64_t));
  if (array == nullptr) Fail(whole_.failure, "no room for a partition's array");
  Must(whole_.failure, "morsel_persist",
       morsel_persist(morsel_, array, kArraySlots * sizeof(uint64_t)));
  Must(whole_.failure, "morsel_set_root",
       morsel_set_root(morsel_, ArrayName(number_).c_str(), array));
  log_.array.store(Presence::kPresent);
  log_.Cancel();
}

Object FinePartition::NextObject(uint64_t size_bytes, Random& random) {
  return {.serial = ++log_.last_serial,
          .owner = number_,
          .size_bytes = size_bytes,
          .seed = random.Any()};
}

uint64_t FinePartition::RandomSize(Random& random) const {
  if (random.OneIn(12)) {
    const uint64_t extent = random.Logarithmic(kExtentBytesMin, kExtentBytesMax);
    if (live_bytes_ + extent <= kPartitionBytesMax) return extent;
  }
  return random.OneIn(6) ? random.Logarithmic(1 * kKiB, 64 * kKiB) : random.Between(1, 1 * kKiB);
}

uint64_t FinePartition::FindSlot(bool full, uint64_t begin, uint64_t end, Random& random) const {
  const uint64_t count = end - begin;
  const uint64_t first = random.Below(count);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t slot = begin + (first + i) % count;
    if (static_cast<bool>(log_.slots[slot]) == full) return slot;
  }
  return kSlots;
}

void FinePartition::NoSpace() {
  if (errno != ENOMEM) Fail(whole_.failure, std::string("no block: ") + morsel_last_error());
  ++whole_.counts[static_cast<uint64_t>(Operation::kNoSpace)];
}

void FinePartition::Free(void* block) {
  Mark(block, kGivenBack);
  morsel_free(morsel_, block);
}

void* FinePartition::Allocate(uint64_t size_bytes, Random& random) {
  void* const block = AllocateAnyhow(size_bytes, random);
  if (block != nullptr) Mark(block, kGiven);
  return block;
}

void* FinePartition::AllocateAnyhow(uint64_t size_bytes, Random& random) {
  switch (random.Below(5)) {
    case 0:
      return morsel_calloc(morsel_, 1, size_bytes);
    case 1:
      return morsel_aligned_alloc(morsel_, uint64_t{1} << random.Below(13), size_bytes);
    case 2: {
      void* const first = morsel_malloc(morsel_, random.Between(1, size_bytes * 2));
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
void* FinePartition::Persisted(const Object& object, Random& random) {
  void* const block = Allocate(object.size_bytes, random);
  if (block == nullptr) return nullptr;
  WriteObject(block, object);
  Must(whole_.failure, "morsel_persist", morsel_persist(morsel_, block, object.size_bytes));
  return block;
}

void FinePartition::Link(uint64_t slot, void* object) {
  if (slot >= kArraySlots) {
    Must(whole_.failure, "morsel_set_root",
         morsel_set_root(morsel_, RootName(number_, slot).c_str(), object));
    return;
  }
  uint64_t* const place = ArraySlot(morsel_, number_, slot);
  std::atomic_ref(*place).store(reinterpret_cast<uint64_t>(object));
  Must(whole_.failure, "morsel_persist", morsel_persist(morsel_, place, sizeof *place));
}

bool FinePartition::PutInto(uint64_t slot, uint64_t size_bytes, Random& random) {
  const Change change = {slot, {}, NextObject(size_bytes, random)};
  log_.Begin({&change, 1}, 2);
  void* const object = Persisted(change.after, random);
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

void FinePartition::Put(Random& random) {
  const uint64_t slot = random.OneIn(10) ? FindSlot(false, kArraySlots, kSlots, random)
                                         : FindSlot(false, 0, kSweepBegin, random);
  if (slot == kSlots) return Drop(random);
  PutInto(slot, RandomSize(random), random);
}

void FinePartition::PutBatch(Random& random) {
  std::vector<Change> changes;
  std::vector<void*> objects;
  const uint64_t wanted = random.Between(2, kChangesMax);
  for (uint64_t slot = 0; slot < kSweepBegin && changes.size() < wanted; ++slot) {
    if (!log_.slots[slot])
      changes.push_back({slot, {}, NextObject(random.Between(1, 2000), random)});
  }
  log_.Begin(changes, changes.size() + 1);
  for (const Change& change : changes) {
    void* const object = Allocate(change.after.size_bytes, random);
    if (object == nullptr) {
      NoSpace();
      for (void* block : objects) Free(block);
      return log_.Cancel();
    }
    objects.push_back(object);
    WriteObject(object, change.after);
    Must(whole_.failure, "morsel_flush", morsel_flush(morsel_, object, change.after.size_bytes));
    whole_.steps.Raise();
  }
  Must(whole_.failure, "morsel_fence", morsel_fence(morsel_));
  for (size_t i = 0; i < changes.size(); ++i) {
    uint64_t* const place = ArraySlot(morsel_, number_, changes[i].slot);
    std::atomic_ref(*place).store(reinterpret_cast<uint64_t>(objects[i]));
    Must(whole_.failure, "morsel_flush", morsel_flush(morsel_, place, sizeof *place));
    live_bytes_ += changes[i].after.size_bytes;
  }
  Must(whole_.failure, "morsel_fence", morsel_fence(morsel_));
  log_.Finish();
}

void FinePartition::DropFrom(uint64_t slot, Random& random) {
  const Change change = {slot, log_.slots[slot], {}};
  void* const object = Pointee(morsel_, number_, slot);
  if (random.OneIn(8)) {
    const std::string difference = Difference(object, change.before);
    if (!difference.empty()) Fail(whole_.failure, "before any kill: " + difference);
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

void FinePartition::Drop(Random& random) {
  const uint64_t slot = random.OneIn(10) ? FindSlot(true, kArraySlots, kSlots, random)
                                         : FindSlot(true, 0, kSweepBegin, random);
  if (slot != kSlots) DropFrom(slot, random);
}

void FinePartition::Replace(Random& random) {
  const uint64_t slot = FindSlot(true, 0, kSlots, random);
  if (slot == kSlots) return Put(random);
  const Change change = {slot, log_.slots[slot], NextObject(RandomSize(random), random)};
  void* const before = Pointee(morsel_, number_, slot);
  log_.Begin({&change, 1}, 2);
  void* const after = Persisted(change.after, random);
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

void FinePartition::Scratch(Random& random) {
  std::vector<std::pair<void*, Object>> blocks;
  log_.Begin({}, kScratchBlocksMax + 1);
  if (lie_ == Lie::kForgetsABlock) {
    Mark(morsel_malloc(morsel_, 1000), kGiven);
    log_.Cancel();
    raise(SIGKILL);
  }
  const uint64_t wanted = random.Between(1, kScratchBlocksMax);
  while (blocks.size() < wanted) {
    const Object object = NextObject(random.Logarithmic(1, 300 * kKiB), random);
    void* const block = Allocate(object.size_bytes, random);
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
    if (!difference.empty()) Fail(whole_.failure, "never linked: " + difference);
    Free(block);
  }
  log_.Cancel();
}

void FinePartition::Sweep(Random& random) {
  uint64_t full = 0;
  for (uint64_t slot = kSweepBegin; slot < kArraySlots; ++slot) full += log_.slots[slot] ? 1 : 0;
  if (full > (kArraySlots - kSweepBegin) / 2) {
    for (uint64_t slot = kSweepBegin; slot < kArraySlots; ++slot) {
      if (log_.slots[slot]) DropFrom(slot, random);
    }
    return;
  }
  const uint64_t size_bytes = random.Logarithmic(256, 16 * kKiB);
  for (uint64_t slot = kSweepBegin; slot < kArraySlots; ++slot) {
    if (!log_.slots[slot] && !PutInto(slot, size_bytes, random)) return;
  }
}

}  // namespace morsel::crash
