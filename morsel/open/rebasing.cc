#include "morsel/open/rebasing.h"

#include <cinttypes>
#include <memory>

#include "base/bits.h"
#include "base/error.h"
#include "base/size_words.h"
#include "base/units.h"
#include "morsel/pool/address_window.h"
#include "morsel/rebase/moved_heap.h"
#include "os/memory/frames.h"

namespace morsel {
namespace {

Status CheckCapacity(const CatalogRecord& from, const CatalogRecord& to) {
  if (to.size_bytes <= to.capacity_bytes) return Code::kOk;
  return Fail(Code::kInvalidArgument,
              "morsel '%s' cannot have a capacity of %s: it is %s long; ask for more, or make it "
              "smaller first (morselctl resize)",
              from.name.c_str(), FormatSizeExactly(to.capacity_bytes).c_str(),
              FormatSizeExactly(to.size_bytes).c_str());
}

Status CheckBase(const CatalogRecord& from, const CatalogRecord& to) {
  const uint64_t alignment = AddressAlignment(to.capacity_bytes);
  const bool is_aligned = IsAligned(to.base, alignment);
  if (is_aligned && Within(to.base, RangeBytes(to.capacity_bytes), kMappableEnd)) return Code::kOk;
  return Fail(Code::kInvalidArgument,
              "morsel '%s' cannot be at 0x%" PRIx64 ": %s; `morselctl addr` shows what is free",
              from.name.c_str(), to.base,
              is_aligned
                  ? "its capacity would go on behind the addresses that there are"
                  : ("its address is a multiple of " + FormatSizeExactly(alignment)).c_str());
}

// What the morsel is to be; its base stays 0 where the pool is to choose it.
Result<CatalogRecord> Wanted(const CatalogRecord& from, const RebasedAs& as,
                             const Rebasing& rebasing) {
  const uint64_t unit_bytes = from.giant ? kGiantBytes : kSubtreeBytes;
  CatalogRecord to = from;
  to.name = as.name;
  to.base = rebasing.base;
  if (rebasing.capacity_bytes > kAddressEnd) {
    return Fail(Code::kInvalidArgument,
                "morsel '%s' cannot have a capacity of %s: there are no "
                "such addresses",
                from.name.c_str(), FormatSizeExactly(rebasing.capacity_bytes).c_str());
  }
  if (rebasing.capacity_bytes != 0) {
    to.capacity_bytes = AlignUp(rebasing.capacity_bytes, unit_bytes);
  }
  const Result<uint64_t> shift = ShiftFor(from.capacity_bytes, to.capacity_bytes);
  if (!shift) return shift.status();
  to.size_bytes += *shift;
  MORSEL_TRY(CheckCapacity(from, to));
  if (to.base != 0) MORSEL_TRY(CheckBase(from, to));
  if (as.has_new_id) {
    const Result<Id> id = RandomId();
    if (!id) return id.status();
    to.id = *id;
  }
  return to;
}

// Memory that nobody else sees, for a morsel that is not made.
Status Try(const CatalogRecord& record,
           const std::function<Status(char* memory, const CatalogRecord& made)>& fill,
           uint64_t filled_bytes) {
  Result<os::Frames> frames = os::Frames::Open(false);
  if (!frames) return frames.status();
  const Result<Window> window = WindowFromEnvironment();
  if (!window) return window.status();
  Result<os::AddressRange> range =
      ReserveNew(*window, record.id, record.size_bytes, {}, "morsel '" + record.name + "'");
  if (!range) return range.status();
  MORSEL_TRY(frames->Resize(*range, record.size_bytes));
  MORSEL_TRY(frames->CheckMemoryFor(filled_bytes));
  return fill(range->at(0), record);
}

// A base that is like `moved_from` as far as a morsel of that capacity can have one.
uint64_t BaseLike(uint64_t moved_from, const CatalogRecord& record) {
  return AlignDown(moved_from, AddressAlignment(record.capacity_bytes));
}

// Where a capacity grows to 1 GiB, which needs a base that is a multiple of that, blocks would lose
// the alignment that the base before gave them. They are moved inside of the morsel by as much as
// makes up for it.
Status KeepAlignment(MorselBytes& bytes, CatalogRecord& to) {
  const CatalogRecord& from = bytes.record();
  const bool is_base_moved =
      AddressAlignment(to.capacity_bytes) > AddressAlignment(from.capacity_bytes);
  if (!is_base_moved || from.giant) return Code::kOk;
  uint64_t alignment = 0;
  const auto look = [&](char* memory, const CatalogRecord&) -> Status {
    MORSEL_TRY(bytes.Load(memory));
    const Result<std::unique_ptr<alloc::Heap>> heap = OpenCopy(memory, from);
    if (heap) alignment = LargestAlignment(**heap, from.base);
    return heap.status();
  };
  MORSEL_TRY(Try(from, look, bytes.BytesMax()));
  const uint64_t shift_bytes = to.size_bytes - from.size_bytes;
  to.size_bytes =
      from.size_bytes + AlignedShift(from.base, to.base, from.size_bytes, shift_bytes, alignment);
  return Code::kOk;
}

// Says that a group could not be given.
void ReportRights(impl::Pool& pool, Rebased& done, const Rebasing& rebasing) {
  const KeepLastError keep;
  const CatalogRecord& wanted = done.after;
  const Result<CatalogRecord> made = pool.Find(wanted.name);
  if (!made || made->group == wanted.group) return;
  ++done.counts.doubtful;
  if (!rebasing.doubtful) return;
  rebasing.doubtful({.message = "morsel '" + wanted.name + "' has group " +
                                std::to_string(made->group) +
                                " now, since this process may not "
                                "give it group " +
                                std::to_string(wanted.group) +
                                ": what that group and an access control list gave is taken away"});
}

}  // namespace

Result<Rebased> MakeRebased(impl::Pool& pool, MorselBytes& bytes, const RebasedAs& as,
                            const Rebasing& rebasing) {
  const CatalogRecord& from = bytes.record();
  Rebased done;
  done.before = from;
  Result<CatalogRecord> wanted = Wanted(from, as, rebasing);
  if (!wanted) return wanted.status();
  MORSEL_TRY(KeepAlignment(bytes, *wanted));
  done.after = *wanted;
  if (rebasing.base != 0) MORSEL_TRY(pool.CheckNotAnothers(*wanted));
  const uint64_t shift_bytes = wanted->size_bytes - from.size_bytes;
  const auto fill = [&](char* memory, const CatalogRecord& made) -> Status {
    done.after.base = made.base;
    // Of a dry run the base may be the pool's to choose, and it chooses one like that before.
    const uint64_t base = made.base != 0 ? made.base : BaseLike(from.base - shift_bytes, made);
    const Move move = {from.base, from.capacity_bytes, base, made.capacity_bytes, shift_bytes};
    MORSEL_TRY(bytes.Load(memory + shift_bytes));
    Result<std::unique_ptr<alloc::Heap>> heap = OpenCopy(memory + shift_bytes, from);
    if (!heap) return heap.status();
    const Result<MovedCounts> counts =
        MoveWords(**heap, move, rebasing.pointers, rebasing.doubtful);
    if (!counts) return counts.status();
    done.counts = *counts;
    heap->reset();
    MoveTables(memory, move, made.id);
    return Code::kOk;
  };
  MakingWhole making{.record = *wanted, .replaces = as.replaces, .is_kept = as.is_kept};
  making.moved_from = from.base - shift_bytes;
  making.fill = fill;
  making.filled_bytes = bytes.BytesMax();
  making.progress = rebasing.progress;
  const Status made =
      rebasing.is_dry ? Try(*wanted, fill, bytes.BytesMax()) : pool.MakeWhole(making);
  if (!made.ok()) return made;
  if (!rebasing.is_dry) ReportRights(pool, done, rebasing);
  return done;
}

}  // namespace morsel
