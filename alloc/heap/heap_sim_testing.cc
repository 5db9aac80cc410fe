#include "alloc/heap/heap_sim_testing.h"

#include <algorithm>
#include <cstring>

#include "alloc/heap/heap_sim_promises_testing.h"
#include "base/check.h"
#include "base/error.h"
#include "sim/stores/recorder.h"

namespace morsel::alloc {
namespace {

/// How much of the heap's 2 MiB is watched where it is roomy: it uses only the beginning.
constexpr uint64_t kRoomyBytes = 24 * kUnitBytes;
/// How many units a tight heap has free, so that slabs and extents take one another's place.
constexpr uint64_t kTightUnits = 4;
/// The first bytes of an object. The pattern after them follows from the serial number.
struct Object {
  uint64_t serial;
  uint64_t size_bytes;
};

uint64_t PatternAt(uint64_t serial, uint64_t offset) {
  return (serial * 1000 + offset) * 0x9e3779b97f4a7c15;
}

uint64_t BytesTaken(uint64_t size_bytes) {
  if (size_bytes <= kBlockBytesMax) return BlockBytes(ClassOf(size_bytes));
  return DivideUp(size_bytes, kUnitBytes) * kUnitBytes;
}

// Calls `visit(offset)` for the words of an object that are written and checked.
template <class Visit>
void ForEachWord(uint64_t size_bytes, Visit visit) {
  for (uint64_t at = sizeof(Object); at + 8 <= size_bytes; at += at < 64 ? 8 : size_bytes / 2) {
    visit(at);
  }
}

// Waits for an object from another thread. nullptr: none came while others had many turns.
char* WaitFor(std::atomic<char*>& handed) {
  char* object = nullptr;
  for (int tries = 0; object == nullptr && tries < 1000; ++tries) object = handed.exchange(nullptr);
  return object;
}

pmem::Persist Medium() { return sim::Recorder::Get().persist(); }

}  // namespace

HeapTarget::HeapTarget(Room room, uint64_t size_bytes)
    : room_(room), size_bytes_(size_bytes), medium_(size_bytes), memory_(medium_.base()) {}

HeapTarget::~HeapTarget() { sim::Recorder::Get().Watch({}); }

std::string HeapTarget::NameOf(uint32_t operation) const {
  static const char* const kNames[] = {"link 64 bytes",
                                       "link 3000 bytes",
                                       "link 130000 bytes",
                                       "link three",
                                       "drop the newest",
                                       "drop the oldest",
                                       "realloc to 40000 bytes",
                                       "realloc to 200000 bytes",
                                       "lose 64 bytes",
                                       "settle",
                                       "reopen",
                                       "hand over",
                                       "take over",
                                       "hand back",
                                       "free what was handed back"};
  return kNames[operation];
}

std::vector<sim::Span> HeapTarget::Memory() { return {{memory_, watched_bytes_}}; }

void HeapTarget::Prepare() {
  FormatHeap(Place(), 4096, pmem::VolatilePersist());
  Open();
  claimed_.assign(kSlots, false);
  watched_bytes_ = kRoomyBytes;
  if (room_ == Room::kTight) {
    FillUp();
  } else {
    LinkAll({64, 130'000}, prepared_);
  }
  MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
  heap_.reset();
}

// Allocates all of the heap but kTightUnits near its beginning, in blocks that hang in no slot.
// Then slabs are made of most of the free units for a moment.
void HeapTarget::FillUp() {
  char* const room = static_cast<char*>(*heap_->Allocate(kTightUnits * kUnitBytes, 16));
  watched_bytes_ = static_cast<uint64_t>(room - memory_) + kTightUnits * kUnitBytes;
  for (uint64_t units = kSubtreeBytes / kUnitBytes; units > 1; --units) {
    if (heap_->Allocate(units * kUnitBytes, 16)) filled_bytes_ += units * kUnitBytes;
  }
  MORSEL_CHECK(watched_bytes_ + filled_bytes_ == kSubtreeBytes);
  heap_->Free(room);
  void* const blocks[] = {*heap_->Allocate(64, 16), *heap_->Allocate(3000, 16)};
  for (void* const block : blocks) heap_->Free(block);
}

uint64_t* HeapTarget::Slots() const { return static_cast<uint64_t*>(heap_->facts().root_table()); }

void HeapTarget::Open() {
  Result<std::unique_ptr<Heap>> heap = Heap::Open(Place(), Medium(), true, false);
  if (heap) heap_ = std::move(*heap);
}

std::string HeapTarget::CheckObject(const char* object, uint64_t serial) const {
  const Object& header = *reinterpret_cast<const Object*>(object);
  if (header.serial != serial) {
    return "object " + std::to_string(serial) + " says that it is " + std::to_string(header.serial);
  }
  if (!IsTrue(heap_->IsLive(object)))
    return "object " + std::to_string(serial) + " is not allocated";
  if (heap_->UsableBytes(object) < header.size_bytes) {
    return "object " + std::to_string(serial) + " is in too small a block";
  }
  std::string wrong;
  ForEachWord(header.size_bytes, [&](uint64_t at) {
    if (*reinterpret_cast<const uint64_t*>(object + at) == PatternAt(serial, at)) return;
    wrong = "object " + std::to_string(serial) + " has lost its bytes from " + std::to_string(at);
  });
  return wrong;
}

std::string HeapTarget::CheckSlot(uint64_t slot, const HeapPromises& promises, sim::Log& log) {
  // Make durable what was found before relying on it.
  Medium().Range(&Slots()[slot], sizeof(uint64_t));
  const std::vector<uint64_t>& due = promises.MayHold(slot);
  const char* const object = reinterpret_cast<const char*>(Slots()[slot]);
  const uint64_t serial = object == nullptr ? 0 : SerialOf(object);
  if (std::find(due.begin(), due.end(), serial) == due.end()) {
    return "slot " + std::to_string(slot) + " holds object " + std::to_string(serial) +
           ", due was " + std::to_string(due.front());
  }
  if (object != nullptr) {
    if (std::string wrong = CheckObject(object, serial); !wrong.empty()) return wrong;
  }
  if (due.size() > 1) log.Note(kHolds, slot, serial);
  return {};
}

// Checks that fresh blocks have no byte of a linked object.
std::string HeapTarget::CheckFresh() {
  std::vector<char*> fresh;
  for (const uint64_t size_bytes : {64, 64, 3000, 70000}) {
    const Result<void*> block = heap_->Allocate(size_bytes, 16);
    if (!block && room_ == Room::kTight) continue;
    if (!block) return std::string("no room for a fresh block: ") + LastError();
    fresh.push_back(static_cast<char*>(*block));
    std::memset(*block, 0xee, std::min<uint64_t>(size_bytes, 64));
    const uint64_t usable = heap_->UsableBytes(*block);
    for (uint64_t slot = 0; slot < kSlots; ++slot) {
      char* const object = reinterpret_cast<char*>(Slots()[slot]);
      if (object == nullptr) continue;
      if (fresh.back() < object + heap_->UsableBytes(object) && object < fresh.back() + usable) {
        return "a fresh block is where the object of slot " + std::to_string(slot) + " is";
      }
    }
  }
  for (char* const block : fresh) heap_->Free(block);
  return {};
}

std::string HeapTarget::Recover(sim::Log& log) {
  Open();
  if (heap_ == nullptr) return std::string("it does not open: ") + LastError();
  claimed_.assign(kSlots, false);
  handed_over_ = handed_back_ = nullptr;
  complaint_.clear();
  const HeapPromises promises(prepared_, log, kSlots);
  serials_ = promises.last_object();
  if (!log.entries().empty()) log.Note(kRecovered);
  if (const std::string findings = Findings(*heap_); !findings.empty()) return findings;
  for (uint64_t slot = 0; slot < kSlots; ++slot) {
    if (std::string wrong = CheckSlot(slot, promises, log); !wrong.empty()) return wrong;
  }
  return {};
}

uint64_t HeapTarget::UnlinkedBytes() {
  uint64_t bytes = *heap_->StopAndRelease().LiveBytes() - filled_bytes_;
  for (uint64_t slot = 0; slot < kSlots; ++slot) {
    const void* const object = reinterpret_cast<const void*>(Slots()[slot]);
    if (object != nullptr) bytes -= heap_->UsableBytes(object);
  }
  return bytes;
}

// Checks how much is allocated and unlinked: only objects that were never linked, or were freed and
// not flushed since, may be.
std::string HeapTarget::CheckLeak(const sim::Log& log, bool settled) {
  const uint64_t most = HeapPromises(prepared_, log, kSlots).UnlinkedBytesMax(settled);
  const uint64_t unlinked = UnlinkedBytes();
  if (unlinked <= most) return {};
  return std::to_string(unlinked) + " bytes are allocated and linked nowhere, at most " +
         std::to_string(most) + " may be";
}

sim::Script HeapTarget::GoOn(uint64_t pick) {
  switch (pick % 5) {
    case 0:
      return {{kLinkSmall, kDropOldest}};
    case 1:
      return {{kSettle, kLinkMiddle}};
    case 2:
      return {{kReopen, kShrink}};
    case 3:
      return {{kDropNewest, kLinkExtent}};
    default:
      return {{kGrow, kLose}};
  }
}

std::string HeapTarget::Verify(const sim::Log& log) {
  if (!complaint_.empty()) return complaint_;
  // After this, no object may be there that was freed since the last crash.
  heap_->StopTheWorld().FlushFrees();
  if (std::string wrong = CheckLeak(log, true); !wrong.empty()) return wrong;
  if (const std::string findings = Findings(*heap_); !findings.empty()) return findings;
  if (std::string wrong = CheckFresh(); !wrong.empty()) return wrong;
  const HeapPromises promises(prepared_, log, kSlots);
  sim::Log nothing_new;
  for (uint64_t slot = 0; slot < kSlots; ++slot) {
    if (std::string wrong = CheckSlot(slot, promises, nothing_new); !wrong.empty()) return wrong;
  }
  return {};
}

// Claims a slot that no operation is working on, with an object (`linked`) or without. kSlots:
// there is none.
uint64_t HeapTarget::ClaimSlot(bool linked, bool newest) {
  uint64_t found = kSlots;
  for (uint64_t slot = 0; slot < kSlots && (newest || found == kSlots); ++slot) {
    if (!claimed_[slot] && (Slots()[slot] != 0) == linked) found = slot;
  }
  if (found != kSlots) claimed_[found] = true;
  return found;
}

// Notes an object before it is allocated. If its block is resized (not `anew`), or the heap is
// tight, it may get more than it needs: up to whole units.
void HeapTarget::NoteMade(uint64_t serial, uint64_t size_bytes, bool anew, sim::Log& log) const {
  const bool exact = anew && room_ == Room::kRoomy;
  const uint64_t taken = BytesTaken(size_bytes);
  log.Note(kMade, serial, exact ? taken : AlignUp(taken, kUnitBytes),
           size_bytes <= kBlockBytesMax ? ClassOf(size_bytes) + 1 : 0);
}

void HeapTarget::Fill(char* object, uint64_t serial, uint64_t size_bytes) const {
  *reinterpret_cast<Object*>(object) = {serial, size_bytes};
  ForEachWord(size_bytes, [&](uint64_t at) {
    *reinterpret_cast<uint64_t*>(object + at) = PatternAt(serial, at);
  });
}

uint64_t HeapTarget::SerialOf(const char* object) {
  return reinterpret_cast<const Object*>(object)->serial;
}

// Allocates an object and fills it. nullptr: there is no room.
char* HeapTarget::Make(uint64_t size_bytes, sim::Log& log) {
  const uint64_t serial = ++serials_;
  NoteMade(serial, size_bytes, true, log);
  const Result<void*> block = heap_->Allocate(size_bytes, 16);
  MORSEL_CHECK(block || room_ == Room::kTight);
  if (!block) return nullptr;
  char* const object = static_cast<char*>(*block);
  MORSEL_CHECK(object + size_bytes <= memory_ + watched_bytes_);
  Fill(object, serial, size_bytes);
  return object;
}

// Links an object, which is persisted already.
void HeapTarget::Link(uint64_t slot, const char* object, sim::Log& log) {
  const uint64_t serial = SerialOf(object);
  log.Note(kMayHold, slot, serial);
  Medium().Publish(&Slots()[slot], reinterpret_cast<uint64_t>(object));
  log.Note(kHolds, slot, serial);
  claimed_[slot] = false;
}

char* HeapTarget::Unlink(uint64_t slot, sim::Log& log) {
  char* const object = reinterpret_cast<char*>(Slots()[slot]);
  log.Note(kMayHold, slot, 0);
  Medium().Publish(&Slots()[slot], 0);
  log.Note(kHolds, slot, 0);
  claimed_[slot] = false;
  return object;
}

void HeapTarget::Free(char* object, sim::Log& log) {
  const uint64_t serial = SerialOf(object);
  heap_->Free(object);
  log.Note(kFreed, serial);
}

void HeapTarget::Drop(bool newest, sim::Log& log) {
  const uint64_t slot = ClaimSlot(true, newest);
  if (slot != kSlots) Free(Unlink(slot, log), log);
}

// Makes an object of each size. All are flushed before one fence, and linked before another.
void HeapTarget::LinkAll(std::initializer_list<uint64_t> sizes, sim::Log& log) {
  std::vector<char*> objects;
  for (const uint64_t size_bytes : sizes) {
    char* const object = Make(size_bytes, log);
    if (object == nullptr) continue;
    MORSEL_CHECK(heap_->Flush(object, size_bytes).ok());
    objects.push_back(object);
  }
  heap_->Fence();
  std::vector<std::pair<uint64_t, uint64_t>> linked;
  for (char* const object : objects) {
    const uint64_t slot = ClaimSlot(false, false);
    if (slot == kSlots) {
      Free(object, log);
      continue;
    }
    linked.push_back({slot, SerialOf(object)});
    log.Note(kMayHold, slot, linked.back().second);
    pmem::Store(&Slots()[slot], reinterpret_cast<uint64_t>(object));
    Medium().Flush(&Slots()[slot], sizeof(uint64_t));
  }
  Medium().Fence();
  for (const auto& [slot, serial] : linked) {
    log.Note(kHolds, slot, serial);
    claimed_[slot] = false;
  }
}

// Moves the newest object to a block of another size, under a new serial number. Meanwhile it hangs
// in no slot.
void HeapTarget::Resize(uint64_t size_bytes, sim::Log& log) {
  const uint64_t slot = ClaimSlot(true, true);
  if (slot == kSlots) return;
  char* const before = Unlink(slot, log);
  const Object was = *reinterpret_cast<const Object*>(before);
  const uint64_t serial = ++serials_;
  NoteMade(serial, size_bytes, false, log);
  const Result<void*> moved = heap_->Reallocate(before, size_bytes);
  if (!moved) return Link(slot, before, log);
  char* const object = static_cast<char*>(*moved);
  const Object& is = *reinterpret_cast<const Object*>(object);
  bool kept = is.serial == was.serial && is.size_bytes == was.size_bytes;
  ForEachWord(was.size_bytes, [&](uint64_t at) {
    if (at + 8 > size_bytes) return;
    kept &= *reinterpret_cast<const uint64_t*>(object + at) == PatternAt(was.serial, at);
  });
  if (!kept) complaint_ = "realloc has lost bytes of object " + std::to_string(was.serial);
  log.Note(kFreed, was.serial);
  MORSEL_CHECK(object + size_bytes <= memory_ + watched_bytes_);
  Fill(object, serial, size_bytes);
  MORSEL_CHECK(heap_->Flush(object, size_bytes).ok());
  heap_->Fence();
  Link(slot, object, log);
}

void HeapTarget::TakeOver(sim::Log& log) {
  char* const object = WaitFor(handed_over_);
  if (object == nullptr) return;
  MORSEL_CHECK(heap_->Flush(object, 64).ok());
  heap_->Fence();
  Link(ClaimSlot(false, false), object, log);
}

void HeapTarget::Settle(bool reopen, sim::Log& log) {
  log.Note(kSettling);
  if (reopen) {
    MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
    heap_.reset();
    Open();
  } else {
    heap_->StopTheWorld().FlushFrees();
  }
  log.Note(kSettled);
  if (sim::Recorder::ThisThread() != 0) return;  // others may allocate and link meanwhile
  if (std::string wrong = CheckLeak(log, false); !wrong.empty()) complaint_ = std::move(wrong);
}

void HeapTarget::Perform(uint32_t operation, sim::Log& log) {
  static thread_local const EndOfThread at_end;
  (void)at_end;
  switch (operation) {
    case kLinkSmall:
      return LinkAll({64}, log);
    case kLinkMiddle:
      return LinkAll({3000}, log);
    case kLinkExtent:
      return LinkAll({130'000}, log);
    case kLinkThree:
      return LinkAll({64, 3000, 130'000}, log);
    case kDropNewest:
    case kDropOldest:
      return Drop(operation == kDropNewest, log);
    case kShrink:
      return Resize(40'000, log);
    case kGrow:
      return Resize(200'000, log);
    case kLose:
      (void)Make(64, log);
      return;
    case kSettle:
    case kReopen:
      return Settle(operation == kReopen, log);
    case kHandOver:
      handed_over_ = Make(64, log);
      return;
    case kTakeOver:
      return TakeOver(log);
    case kHandBack: {
      const uint64_t slot = ClaimSlot(true, true);
      if (slot != kSlots) handed_back_ = Unlink(slot, log);
      return;
    }
    default:
      if (char* const object = WaitFor(handed_back_); object != nullptr) Free(object, log);
  }
}

void HeapTarget::Forget(bool orderly) {
  if (!orderly) (void)heap_.release();
  heap_.reset();
}

}  // namespace morsel::alloc
