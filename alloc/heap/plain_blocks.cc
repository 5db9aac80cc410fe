#include "alloc/heap/plain_blocks.h"

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cstring>
#include <mutex>
#include <optional>

#include "alloc/heap/segments/slab.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

// Whether the block of a slab serves for the new size as well: moving is worth it only if at least
// half of the block would be unused.
bool StaysInBlock(const Segment& slab, uint64_t size_bytes) {
  return size_bytes <= slab.block_bytes && size_bytes > slab.block_bytes / 2;
}

}  // namespace

Status PlainBlocks::CheckSize(uint64_t size_bytes) const {
  if (size_bytes <= BytesMax()) return Code::kOk;
  return Fail(Code::kNoSpace,
              "%" PRIu64 " bytes are more than the whole morsel at %p may ever hold, %" PRIu64
              ": give it a larger capacity with 'morselctl rebase POOL NAME --capacity SIZE'",
              size_bytes, static_cast<void*>(facts_.header), BytesMax());
}

Result<void*> PlainBlocks::Allocate(uint64_t size_bytes, uint64_t alignment) {
  if (alignment > kRegionBytes || !std::has_single_bit(alignment)) {
    return Fail(Code::kInvalidArgument,
                "an alignment of %" PRIu64 " bytes: it must be a power of two up to 1 GiB",
                alignment);
  }
  alignment = std::max(alignment, kBlockBytesMin);
  MORSEL_TRY(CheckSize(size_bytes));
  if (size_bytes <= kBlockBytesMax && alignment <= kBlockBytesMax) {
    unsigned size_class = ClassOf(size_bytes);
    // The loop ends, because blocks of the largest class are aligned to their size.
    while (!BlockSource::IsAligned(size_class, alignment)) ++size_class;
    if (void* const block = parts_.threads.TakeInside(size_class); block != nullptr) return block;
    const auto lock = parts_.threads.LockForMine();
    const Result<ThreadHeap*> mine = parts_.threads.Mine();
    if (!mine) return mine.status();
    if ((*mine)->FlushIsDue()) {
      parts_.durability.FlushFreesOf(**mine);
      (void)parts_.threads.Mine();  // the thread may have its slot again
    }
    return parts_.source.Allocate(**mine, size_class, alignment);
  }
  const Result<Extents::Extent> extent = AllocateExtent(size_bytes, alignment);
  if (!extent) return extent.status();
  return extent->start;
}

Result<Extents::Extent> PlainBlocks::AllocateExtent(uint64_t size_bytes, uint64_t alignment) {
  std::unique_lock lock(parts_.lock);
  const Result<Extents::Extent> extent = parts_.extents.Allocate(size_bytes, alignment);
  lock.unlock();
  if (extent) parts_.host.Watch();
  return extent;
}

Result<void*> PlainBlocks::AllocateZeroed(uint64_t size_bytes) {
  if (size_bytes <= kBlockBytesMax) {
    const Result<void*> block = Allocate(size_bytes, kBlockBytesMin);
    if (block) std::memset(*block, 0, size_bytes);
    return block;
  }
  MORSEL_TRY(CheckSize(size_bytes));
  const Result<Extents::Extent> extent = AllocateExtent(size_bytes, kBlockBytesMin);
  if (!extent) return extent.status();
  parts_.host.Clear(extent->start, std::min(extent->never_used, extent->start + size_bytes));
  return extent->start;
}

void PlainBlocks::Free(void* block) {
  bool due = false;
  {
    const auto lock = parts_.threads.LockForMine();
    const Result<ThreadHeap*> mine = parts_.threads.Mine();
    if (!mine) Die("free of %p: %s", block, LastError());
    FreeLocked(**mine, block);
    due = (*mine)->FlushIsDue();
  }
  if (due) parts_.durability.FlushMyFrees();
}

void PlainBlocks::FreeLocked(ThreadHeap& mine, void* block) {
  Segment& segment = parts_.known.OfLive(block, "free");
  if (!segment.IsSlab()) {
    parts_.extents.Release(segment);
    mine.FreedExtent();
    return;
  }
  ThreadHeap* const owner = segment.owner.load(std::memory_order_relaxed);
  if (owner != &mine && owner != nullptr && !owner->ended()) {
    mine.FreeRemote(segment, block);
    mine.FlushRemote();  // not later: the gate may be closed already
    return;
  }
  if (owner != &mine) {
    if (!mine.Prepare(segment.size_class)) {
      (void)parts_.threads.NoMemory();
      Die("free of %p: %s", block, LastError());
    }
    const bool has_room = segment.Has(Segment::kAtHand);
    if (has_room) parts_.central.Remove(segment);
    mine.Lease(&segment, has_room);
  }
  mine.Give(segment, block);
}

uint64_t PlainBlocks::UsableBytes(const void* block, const char* call) {
  if (Segment* const slab = parts_.table.At(block); slab != nullptr && slab->IsSlab()) {
    (void)Slab(*slab).LiveIndex(block, call);
    return slab->block_bytes;
  }
  const std::lock_guard lock(parts_.lock);
  return parts_.known.OfLive(block, call).UsableBytes();
}

uint64_t PlainBlocks::KeptBytesMax() const {
  return facts_.fine ? FreeBudget::OfGuard(parts_.range.size_bytes()) : ~uint64_t{0};
}

Result<bool> PlainBlocks::IsLive(const void* address, bool must_begin) {
  const auto lock = parts_.threads.LockForMine();
  const Result<Segment*> segment = parts_.known.Of(address);
  if (!segment && segment.error() == Code::kNotFound) return false;
  if (!segment) return segment.status();
  if (!(*segment)->IsSlab()) return !must_begin || address == (*segment)->start;
  if (must_begin && !Slab(**segment).IsStart(address)) return false;
  // Blocks in magazines are not live. They are of the slabs of their thread.
  const ThreadHeap* const owner = (*segment)->owner.load(std::memory_order_relaxed);
  const bool is_mine = owner != nullptr && owner->state == my_state;
  std::optional<ThreadParts::Gate> closed;
  if (owner != nullptr && !is_mine && !owner->ended()) closed.emplace(parts_.threads);
  const bool is_allocated = Slab(**segment).IsInLiveBlock(address);
  return is_allocated && !(is_mine && owner->HasAtHand(**segment, address));
}

Result<void*> PlainBlocks::Reallocate(void* block, uint64_t size_bytes) {
  uint64_t before = 0;
  if (Segment* const slab = parts_.table.At(block); slab != nullptr && slab->IsSlab()) {
    (void)Slab(*slab).LiveIndex(block, "realloc");
    MORSEL_TRY(CheckSize(size_bytes));
    if (StaysInBlock(*slab, size_bytes)) return block;
    before = slab->block_bytes;
  } else {
    std::unique_lock lock(parts_.lock);
    Segment& segment = parts_.known.OfLive(block, "realloc");
    MORSEL_TRY(CheckSize(size_bytes));  // below, sizes are counted in units, and must not wrap
    const Result<bool> resized = segment.IsSlab() ? Result<bool>(StaysInBlock(segment, size_bytes))
                                                  : parts_.extents.Resize(segment, size_bytes);
    before = segment.UsableBytes();
    lock.unlock();
    if (!resized) return resized.status();
    if (*resized) {
      parts_.host.Watch();
      return block;
    }
  }
  const Result<void*> moved = Allocate(size_bytes, kBlockBytesMin);
  if (!moved && size_bytes <= before) return block;  // shrinking needs no space
  if (!moved) return moved;
  std::memcpy(*moved, block, before < size_bytes ? before : size_bytes);
  if (!parts_.durability.FlushIfDue(parts_.threads.FreeInside(block))) Free(block);
  return moved;
}

}  // namespace morsel::alloc
