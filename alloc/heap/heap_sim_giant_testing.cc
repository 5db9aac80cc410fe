#include "alloc/heap/heap_sim_giant_testing.h"

#include <algorithm>

#include "base/check.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kKeptBytes = 990 * kMiB;
/// Where the block begins that is put behind the kept one, from the heap's start.
constexpr uint64_t kAcrossOffset = kSubtreeBytes + kKeptBytes;
/// What of a large block is filled, watched and checked.
constexpr uint64_t kObjectBytes = 64;

}  // namespace

std::string HeapGiantTarget::NameOf(uint32_t operation) const {
  switch (operation) {
    case kLinkAcross:
      return "link 100 MiB";
    case kLinkAligned:
      return "link 128 MiB at a GiB";
    case kShorten:
      return "realloc to 40000 bytes in place";
    default:
      return HeapTarget::NameOf(operation);
  }
}

std::vector<sim::Span> HeapGiantTarget::Memory() {
  return {{memory_, watched_bytes_},
          {memory_ + kAcrossOffset, kUnitBytes},
          {memory_ + kRegionBytes, kUnitBytes}};
}

void HeapGiantTarget::Prepare() {
  FormatHeap(Place(), 4096, pmem::VolatilePersist());
  Open();
  claimed_.assign(kSlots, false);
  watched_bytes_ = kSubtreeBytes;
  MORSEL_CHECK(*heap_->Allocate(kKeptBytes, 16) == memory_ + kSubtreeBytes);
  filled_bytes_ = kKeptBytes;
  MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
  heap_.reset();
}

// A block that comes to lie elsewhere, because of what an earlier crash has left allocated, is
// given back.
void HeapGiantTarget::LinkGiant(uint64_t size_bytes, uint64_t alignment, sim::Log& log) {
  const uint64_t serial = ++serials_;
  NoteMade(serial, size_bytes, true, log);
  const Result<void*> block = heap_->Allocate(size_bytes, alignment);
  if (!block) return;
  char* const begin = static_cast<char*>(*block);
  const std::vector<sim::Span> spans = Memory();
  if (std::none_of(spans.begin() + 1, spans.end(),
                   [&](const sim::Span& span) { return span.begin == begin; })) {
    heap_->Free(begin);
    return log.Note(kFreed, serial);
  }
  LinkSmallObjectIn(begin, serial, log);
}

void HeapGiantTarget::LinkSmallObjectIn(char* block, uint64_t serial, sim::Log& log) {
  Fill(block, serial, kObjectBytes);
  MORSEL_CHECK(heap_->Flush(block, kObjectBytes).ok());
  heap_->Fence();
  const uint64_t slot = ClaimSlot(false, false);
  MORSEL_CHECK(slot != kSlots);
  Link(slot, block, log);
}

void HeapGiantTarget::Shorten(sim::Log& log) {
  const uint64_t slot = ClaimSlot(true, true);
  if (slot == kSlots) return;
  char* const block = Unlink(slot, log);
  const uint64_t before = SerialOf(block);
  const uint64_t serial = ++serials_;
  NoteMade(serial, 40'000, false, log);
  const Result<void*> same = heap_->Reallocate(block, 40'000);
  MORSEL_CHECK(same && *same == block);
  log.Note(kFreed, before);
  LinkSmallObjectIn(block, serial, log);
}

void HeapGiantTarget::Perform(uint32_t operation, sim::Log& log) {
  switch (operation) {
    case kLinkAcross:
      return LinkGiant(100 * kMiB, 16, log);
    case kLinkAligned:
      return LinkGiant(128 * kMiB, kRegionBytes, log);
    case kShorten:
      return Shorten(log);
    default:
      HeapTarget::Perform(operation, log);
  }
}

sim::Script HeapGiantTarget::GoOn(uint64_t pick) {
  switch (pick % 4) {
    case 0:
      return {{kLinkAcross, kDropOldest}};
    case 1:
      return {{kDropNewest, kLinkAligned}};
    default:
      return {{kLinkAligned, kDropNewest}};
  }
}

}  // namespace morsel::alloc
