#include "alloc/heap/supply/known_segments.h"

#include <algorithm>

#include "alloc/heap/segments/slab.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

/// Before it makes a new slab, an allocation looks at this many heads of an earlier process, and
/// adopts this many of its slabs. There are limits because the first allocation after an open must
/// be quick.
constexpr uint64_t kHeadsPerLook = 1024;
constexpr uint64_t kSlabsPerLook = 8;

}  // namespace

Result<Segment*> KnownSegments::Make(UnitIndex head) {
  Segment* const segment = units_.Remember(head);
  if (segment == nullptr) {
    return Fail(Code::kNoMemory, "no memory to keep account of a slab of the morsel at %p",
                static_cast<void*>(facts_.header));
  }
  return segment;
}

Result<Segment*> KnownSegments::At(UnitIndex head) {
  if (Segment* const known = units_.SegmentAt(head);
      known != nullptr && known->kind != UnitKind::kNone) {
    return known;
  }
  const Result<Segment*> made = Make(head);
  if (!made) return made;
  Segment* const segment = *made;
  const UnitWord word = units_.Word(head);
  if (word.kind() == UnitKind::kSlab) {
    segment->BecomeSlab(word.size_class());
    MORSEL_TRY(Slab(*segment).Adopt(facts_.persist, unclean_, facts_.read_only));
    segment->kind = UnitKind::kSlab;
    central_.ListIfRoom(segment);
    table_.Enter(segment);
  } else {
    segment->units = word.units();
    segment->kind = word.kind();
  }
  return segment;
}

Result<Segment*> KnownSegments::Of(const void* address) {
  const Result<UnitIndex> head = units_.HeadOf(units_.UnitOf(address));
  if (!head) return head.status();
  return At(*head);
}

Segment& KnownSegments::OfLive(const void* block, const char* call) {
  const Result<Segment*> segment = Of(block);
  if (!segment) {
    Die("%s of %p, which is no block of the morsel at %p%s%s", call, block,
        static_cast<void*>(facts_.header), segment.error() == Code::kNotFound ? "" : ": ",
        segment.error() == Code::kNotFound ? "" : LastError());
  }
  if ((*segment)->IsSlab()) {
    (void)Slab(**segment).LiveIndex(block, call);
  } else if (block != (*segment)->start) {
    Die("%s of %p, which is not the start of a live block of the morsel at %p (freed twice?)", call,
        block, static_cast<void*>(facts_.header));
  }
  return **segment;
}

Result<Segment*> KnownSegments::NextOfClass(unsigned size_class) {
  UnitIndex& cursor = cursors_[size_class];
  uint64_t adopted = 0;
  for (uint64_t heads = 0; central_.HasNone(size_class) && heads < kHeadsPerLook; ++heads) {
    if (all_adopted_) break;
    ++heads_read_;
    const Result<UnitIndex> head = units_.NextHead(cursor);
    if (!head) return head.status();
    if (head->value() >= units_.unit_count()) break;
    const UnitWord word = units_.Word(*head);
    if (word.kind() == UnitKind::kSlab && word.size_class() == size_class) {
      if (adopted++ == kSlabsPerLook) break;
      const Result<Segment*> segment = At(*head);
      if (!segment) return segment;
    }
    cursor = UnitIndex(head->value() + 1);
  }
  return central_.Pop(size_class);
}

Status KnownSegments::AdoptMore(uint64_t heads_max) {
  for (uint64_t heads = 0; !all_adopted_ && heads < heads_max; ++heads) {
    const Result<UnitIndex> head = units_.NextHead(adopted_);
    if (!head) return head.status();
    if (head->value() >= units_.unit_count()) {
      all_adopted_ = true;
      break;
    }
    const Result<Segment*> segment = At(*head);
    if (!segment) return segment.status();
    adopted_ = UnitIndex(head->value() + 1);
  }
  return Code::kOk;
}

void KnownSegments::Shrunk() {
  const UnitIndex end(units_.unit_count());
  adopted_ = std::min(adopted_, end);
  for (UnitIndex& cursor : cursors_) cursor = std::min(cursor, end);
}

}  // namespace morsel::alloc
