#include "alloc/heap_sim_testing.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "alloc/heap_testing.h"
#include "base/check.h"
#include "pmem/sim/recorder.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kSlots = 8;
/// Of the heap's 2 MiB; what is used of it is at its beginning.
constexpr uint64_t kWatchedBytes = 24 * kUnitBytes;
enum Note : uint32_t {
  kMade,     ///< object, bytes: allocated or about to be, linked nowhere
  kMayHold,  ///< slot, object
  kHolds,    ///< slot, object
  kSettled,  ///< 0, bytes: so many are unlinked, and no more come back
};

/// The first bytes of an object; the pattern behind it follows from the serial number.
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

// Calls `visit(offset)` for the words of an object that are written and looked at.
template <class Visit>
void ForEachWord(uint64_t size_bytes, Visit visit) {
  for (uint64_t at = sizeof(Object); at + 8 <= size_bytes; at += at < 64 ? 8 : size_bytes / 2) {
    visit(at);
  }
}

HeapPlace PlaceAt(char* memory) {
  return {.base = memory, .size_bytes = kSubtreeBytes, .capacity_bytes = kSubtreeBytes, .id = {7}};
}

pmem::Persist Medium() { return sim::Recorder::Get().persist(); }

}  // namespace

HeapTarget::HeapTarget() {
  void* const memory =
      mmap(reinterpret_cast<void*>(TestBase()), kSubtreeBytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  MORSEL_CHECK(memory != MAP_FAILED);
  memory_ = static_cast<char*>(memory);
}

HeapTarget::~HeapTarget() {
  sim::Recorder::Get().Watch({});
  munmap(memory_, kSubtreeBytes);
}

std::string HeapTarget::NameOf(uint32_t operation) const {
  static const char* const kNames[] = {"link 40 bytes",
                                       "link 3000 bytes",
                                       "link 130000 bytes",
                                       "link two",
                                       "drop the newest",
                                       "drop the oldest",
                                       "lose 40 bytes",
                                       "settle",
                                       "reopen",
                                       "hand over",
                                       "take over",
                                       "hand back",
                                       "free what was handed back"};
  return kNames[operation];
}

std::vector<sim::Span> HeapTarget::Spans() { return {{memory_, kWatchedBytes}}; }

void HeapTarget::Prepare() { Heap::Format(PlaceAt(memory_), 4096, pmem::VolatilePersist()); }

uint64_t* HeapTarget::Slots() const { return static_cast<uint64_t*>(heap_->root_table()); }

void HeapTarget::Open() {
  Result<std::unique_ptr<Heap>> heap = Heap::Open(PlaceAt(memory_), Medium(), true, false);
  if (heap) heap_ = std::move(*heap);
}

std::vector<HeapTarget::Due> HeapTarget::DueOf(const sim::Log& log) const {
  std::vector<Due> due(kSlots);
  for (const sim::LogEntry& entry : log.entries()) {
    if (entry.kind != sim::LogEntry::Kind::kNoted) continue;
    if (entry.what != kMayHold && entry.what != kHolds) continue;
    std::vector<uint64_t>& objects = due[entry.words[0]].objects;
    if (entry.what == kHolds) objects.clear();
    objects.push_back(entry.words[1]);
  }
  return due;
}

std::string HeapTarget::CheckObject(const char* object, uint64_t serial) const {
  const Object& header = *reinterpret_cast<const Object*>(object);
  if (header.serial != serial) {
    return "object " + std::to_string(serial) + " says that it is " + std::to_string(header.serial);
  }
  if (!IsTrue(heap_->IsLive(object))) return "object " + std::to_string(serial) + " is not allocated";
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

std::string HeapTarget::CheckSlot(uint64_t slot, const Due& due, sim::Log& log) {
  // What is found counts for nothing before it is durable.
  Medium().Range(&Slots()[slot], sizeof(uint64_t));
  const char* const object = reinterpret_cast<const char*>(Slots()[slot]);
  const uint64_t serial = object == nullptr ? 0 : reinterpret_cast<const Object*>(object)->serial;
  if (std::find(due.objects.begin(), due.objects.end(), serial) == due.objects.end()) {
    return "slot " + std::to_string(slot) + " holds object " + std::to_string(serial) +
           ", due was " + std::to_string(due.objects.front());
  }
  if (object != nullptr) {
    if (std::string wrong = CheckObject(object, serial); !wrong.empty()) return wrong;
  }
  if (due.objects.size() > 1) log.Note(kHolds, slot, serial);
  return {};
}

// No byte of what is linked is given to anybody else.
std::string HeapTarget::CheckFresh() {
  std::vector<char*> fresh;
  for (const uint64_t size_bytes : {40, 40, 3000, 70000}) {
    const Result<void*> block = heap_->Allocate(size_bytes, 16);
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
  serials_ = 0;
  for (const sim::LogEntry& entry : log.entries()) {
    if (entry.what == kMade) serials_ = std::max(serials_, entry.words[0]);
  }
  if (const std::string findings = Findings(*heap_); !findings.empty()) return findings;
  const std::vector<Due> due = DueOf(log);
  for (uint64_t slot = 0; slot < kSlots; ++slot) {
    if (std::string wrong = CheckSlot(slot, due[slot], log); !wrong.empty()) return wrong;
  }
  return {};
}

uint64_t HeapTarget::UnlinkedBytes() {
  uint64_t bytes = *heap_->LiveBytes();
  for (uint64_t slot = 0; slot < kSlots; ++slot) {
    const void* const object = reinterpret_cast<const void*>(Slots()[slot]);
    if (object != nullptr) bytes -= heap_->UsableBytes(object);
  }
  return bytes;
}

// What was never linked, or freed and not settled since, may be allocated; nothing else.
std::string HeapTarget::CheckLeak(const sim::Log& log) {
  std::map<uint64_t, uint64_t> bytes_of;
  std::vector<uint64_t> holds(kSlots, 0);
  uint64_t allowed = 0;
  for (const sim::LogEntry& entry : log.entries()) {
    if (entry.kind != sim::LogEntry::Kind::kNoted) continue;
    if (entry.what == kMade) allowed += bytes_of[entry.words[0]] = entry.words[1];
    if (entry.what == kSettled) allowed = entry.words[1];
    if (entry.what != kHolds) continue;
    allowed += bytes_of[holds[entry.words[0]]];
    allowed -= bytes_of[entry.words[1]];
    holds[entry.words[0]] = entry.words[1];
  }
  const uint64_t unlinked = UnlinkedBytes();
  if (unlinked <= allowed) return {};
  return std::to_string(unlinked) + " bytes are allocated and linked nowhere, at most " +
         std::to_string(allowed) + " may be";
}

void HeapTarget::NoteSettled(sim::Log& log) {
  if (std::string wrong = CheckLeak(log); !wrong.empty()) complaint_ = std::move(wrong);
  log.Note(kSettled, 0, UnlinkedBytes());
}

sim::Script HeapTarget::GoOn(uint64_t pick) {
  switch (pick % 4) {
    case 0:
      return {{kLinkSmall, kDropOldest, kLinkExtent}};
    case 1:
      return {{kSettle, kLinkMiddle}};
    case 2:
      return {{kReopen, kLinkSmall}};
    default:
      return {{kDropOldest, kDropOldest, kLinkExtent, kLose}};
  }
}

std::string HeapTarget::Verify(const sim::Log& log) {
  if (!complaint_.empty()) return complaint_;
  if (std::string wrong = CheckLeak(log); !wrong.empty()) return wrong;
  if (const std::string findings = Findings(*heap_); !findings.empty()) return findings;
  if (std::string wrong = CheckFresh(); !wrong.empty()) return wrong;
  const std::vector<Due> due = DueOf(log);
  sim::Log nothing_new;
  for (uint64_t slot = 0; slot < kSlots; ++slot) {
    if (std::string wrong = CheckSlot(slot, due[slot], nothing_new); !wrong.empty()) return wrong;
  }
  return {};
}

// A slot that nobody is busy with, empty or not; kSlots where there is none.
uint64_t HeapTarget::ClaimSlot(bool linked, bool newest) {
  uint64_t found = kSlots;
  for (uint64_t slot = 0; slot < kSlots && (newest || found == kSlots); ++slot) {
    if (!claimed_[slot] && (Slots()[slot] != 0) == linked) found = slot;
  }
  if (found != kSlots) claimed_[found] = true;
  return found;
}

char* HeapTarget::Make(uint64_t size_bytes, sim::Log& log) {
  const uint64_t serial = ++serials_;
  log.Note(kMade, serial, BytesTaken(size_bytes));
  const Result<void*> block = heap_->Allocate(size_bytes, 16);
  MORSEL_CHECK(block && static_cast<char*>(*block) + size_bytes <= memory_ + kWatchedBytes);
  char* const object = static_cast<char*>(*block);
  *reinterpret_cast<Object*>(object) = {serial, size_bytes};
  ForEachWord(size_bytes, [&](uint64_t at) {
    *reinterpret_cast<uint64_t*>(object + at) = PatternAt(serial, at);
  });
  return object;
}

// The object is persisted.
void HeapTarget::Link(uint64_t slot, const char* object, sim::Log& log) {
  const uint64_t serial = reinterpret_cast<const Object*>(object)->serial;
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

void HeapTarget::Drop(bool newest, sim::Log& log) {
  const uint64_t slot = ClaimSlot(true, newest);
  if (slot != kSlots) heap_->Free(Unlink(slot, log));
}

void HeapTarget::Run(uint32_t operation, sim::Log& log) {
  static constexpr uint64_t kBytes[] = {40, 3000, 130000};
  switch (operation) {
    case kLinkSmall:
    case kLinkMiddle:
    case kLinkExtent: {
      const uint64_t slot = ClaimSlot(false, false);
      if (slot == kSlots) return;
      char* const object = Make(kBytes[operation], log);
      MORSEL_CHECK(heap_->Flush(object, kBytes[operation]).ok());
      heap_->Fence();
      return Link(slot, object, log);
    }
    case kLinkTwo: {
      const uint64_t slots[] = {ClaimSlot(false, false), ClaimSlot(false, false)};
      if (slots[1] == kSlots) return;
      char* const objects[] = {Make(40, log), Make(3000, log)};
      MORSEL_CHECK(heap_->Flush(objects[0], 40).ok());
      MORSEL_CHECK(heap_->Flush(objects[1], 3000).ok());
      heap_->Fence();
      Link(slots[0], objects[0], log);
      return Link(slots[1], objects[1], log);
    }
    case kDropNewest:
    case kDropOldest:
      return Drop(operation == kDropNewest, log);
    case kLose:
      (void)Make(40, log);
      return;
    case kSettle:
      heap_->Settle();
      return NoteSettled(log);
    case kReopen:
      MORSEL_CHECK(heap_->Close().ok());
      heap_.reset();
      Open();
      return NoteSettled(log);
    case kHandOver:
      handed_over_ = Make(40, log);
      return;
    case kTakeOver: {
      char* object = nullptr;
      while ((object = handed_over_.exchange(nullptr)) == nullptr) {
      }
      MORSEL_CHECK(heap_->Flush(object, 40).ok());
      heap_->Fence();
      return Link(ClaimSlot(false, false), object, log);
    }
    case kHandBack: {
      const uint64_t slot = ClaimSlot(true, true);
      if (slot != kSlots) handed_back_ = Unlink(slot, log);
      return;
    }
    default:
      if (char* const object = handed_back_.exchange(nullptr); object != nullptr) {
        heap_->Free(object);
      }
  }
}

void HeapTarget::Forget(bool orderly) {
  if (!orderly) (void)heap_.release();
  heap_.reset();
}

}  // namespace morsel::alloc
