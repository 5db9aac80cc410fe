// Predicates for the invariants of heap_layout.h. Each byte that is read may be damaged
// until it has been checked. What the heap remembers of the medium is compared with it,
// and never trusted.
#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/segments/slab.h"
#include "base/bits.h"
#include "base/checksum.h"

namespace morsel::alloc {
namespace {

using Report = std::function<void(const std::string& message)>;

class Validator {
 public:
  Validator(const HeapHeader* header, const UnitMap& units, const Report& report)
      : header_(header), units_(units), report_(report) {}

  void Walk() {
    if (header_->magic != kHeapMagic || header_->checksum != HeaderSum(*header_)) {
      Add("the heap's header (offset 0x0) has changed since the heap was opened");
      return;
    }
    CheckDirectory();
    covered_end_ = header_->first_unit;
    for (uint64_t region = 0; region < maps_.size(); ++region) CheckRegion(region);
  }

 private:
  [[gnu::format(printf, 2, 3)]] void Add(const char* format, ...) {
    char message[256];
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    report_(message);
  }

  const uint64_t* WordsAt(uint64_t offset) const {
    return reinterpret_cast<const uint64_t*>(reinterpret_cast<const char*>(header_) + offset);
  }

  void CheckDirectory();
  void CheckRegion(uint64_t region);
  void CheckWord(uint64_t unit, UnitWord word);
  void CheckSegment(uint64_t unit, uint64_t length);
  void CheckPieces(uint64_t head, uint64_t length);
  void CheckSlab(uint64_t unit, unsigned size_class);
  void CheckRemembered(uint64_t unit);

  const HeapHeader* header_;
  const UnitMap& units_;
  const Report& report_;
  std::vector<const uint64_t*> maps_;  ///< by region; nullptr: no map, or none that can be read
  std::map<uint64_t, uint64_t> map_units_;  ///< for each unit that holds a map, that map's region
  uint64_t covered_head_ = 0;
  uint64_t covered_end_ = 0;  ///< of the live segments that the walk has met
  bool differed_ = false;
};

// [HEAP-6]
void Validator::CheckDirectory() {
  const HeapGeometry geometry = GeometryOf(header_->capacity_bytes, header_->root_table_bytes);
  const uint64_t* const directory = WordsAt(geometry.directory_offset);
  maps_.resize(geometry.region_count);
  maps_[0] = WordsAt(geometry.map_offset);
  for (uint64_t region = 0; region < geometry.region_count; ++region) {
    const uint64_t unit = pmem::Load(&directory[region]);
    const uint64_t offset = geometry.directory_offset + region * sizeof(uint64_t);
    if (unit == 0) continue;
    if (region == 0 || unit < header_->first_unit ||
        !Within(unit, kMapUnits.value(), units_.unit_count())) {
      Add("[HEAP-6] the directory's word of region %" PRIu64 " (offset 0x%" PRIx64 ") is 0x%" PRIx64
          ", where no map can be",
          region, offset, unit);
      continue;
    }
    for (uint64_t i = unit; i < unit + kMapUnits.value(); ++i) {
      const auto [other, is_new] = map_units_.emplace(i, region);
      if (is_new) continue;
      Add("[HEAP-6] the directory (offset 0x%" PRIx64 ") has the map of region %" PRIu64
          " at unit %" PRIu64 ", where that of region %" PRIu64 " is",
          offset, region, i, other->second);
    }
    maps_[region] = WordsAt(unit * kUnitBytes);
  }
}

void Validator::CheckRegion(uint64_t region) {
  const uint64_t first = region * kUnitsPerRegion;
  const uint64_t end = std::min(first + kUnitsPerRegion, header_->capacity_bytes / kUnitBytes);
  for (uint64_t unit = first; unit < end; ++unit) {
    if (maps_[region] != nullptr) {
      CheckWord(unit, UnitWord{pmem::Load(&maps_[region][unit - first])});
    }
    if (unit < units_.unit_count()) CheckRemembered(unit);
  }
}

// [HEAP-3], and which heads are valid.
void Validator::CheckWord(uint64_t unit, UnitWord word) {
  if (word.raw == 0) return;
  const uint64_t count = units_.unit_count();
  if (unit % kUnitsPerRegion == 0 && unit > 0 &&
      word.raw == UnitWord::Piece(UnitCount(word.units())).raw) {
    return;  // its head says whether it counts
  }
  uint64_t length = 0;
  if (word.kind() == UnitKind::kSlab && word.size_class() < kClassCount &&
      word.raw == UnitWord::Slab(word.size_class()).raw) {
    length = SlabUnits(word.size_class()).value();
    if (!IsAligned(unit, length)) length = 0;
  } else if (word.raw == UnitWord::Extent(UnitCount(word.units())).raw) {
    length = word.units();
  }
  if (length == 0) {
    Add("[HEAP-3] the word of unit %" PRIu64 " (offset 0x%" PRIx64 ") is 0x%" PRIx64
        ", which is neither zero nor a head that can be there",
        unit, unit * kUnitBytes, word.raw);
    return;
  }
  if (!Within(unit, length, count)) {
    Add("[HEAP-1] the segment at unit %" PRIu64 " (offset 0x%" PRIx64 "), %" PRIu64
        " units long, ends behind the heap's %" PRIu64 " units",
        unit, unit * kUnitBytes, length, count);
    return;
  }
  CheckSegment(unit, length);
  if (word.kind() == UnitKind::kExtent) CheckPieces(unit, length);
  if (word.kind() == UnitKind::kSlab) CheckSlab(unit, word.size_class());
}

// [HEAP-1] [HEAP-2] [HEAP-6]
void Validator::CheckSegment(uint64_t unit, uint64_t length) {
  if (unit < header_->first_unit) {
    Add("[HEAP-1] a segment begins at unit %" PRIu64 " (offset 0x%" PRIx64
        "), before the first that is not the heap's own",
        unit, unit * kUnitBytes);
  } else if (unit < covered_end_) {
    Add("[HEAP-2] the segment at unit %" PRIu64 " (offset 0x%" PRIx64
        ") lies in the one at unit %" PRIu64,
        unit, unit * kUnitBytes, covered_head_);
  }
  const auto map = map_units_.lower_bound(unit);
  if (map != map_units_.end() && map->first < unit + length) {
    Add("[HEAP-6] the segment at unit %" PRIu64 " (offset 0x%" PRIx64 "), %" PRIu64
        " units long, covers unit %" PRIu64 ", which holds the map of region %" PRIu64,
        unit, unit * kUnitBytes, length, map->first, map->second);
  }
  if (unit + length > covered_end_) {
    covered_head_ = unit;
    covered_end_ = unit + length;
  }
}

// [HEAP-4]
void Validator::CheckPieces(uint64_t head, uint64_t length) {
  for (uint64_t region = head / kUnitsPerRegion + 1; region * kUnitsPerRegion < head + length;
       ++region) {
    const uint64_t unit = region * kUnitsPerRegion;
    const uint64_t word = maps_[region] == nullptr ? 0 : pmem::Load(&maps_[region][0]);
    if (word == UnitWord::Piece(UnitCount(unit - head)).raw) continue;
    Add("[HEAP-4] the extent at unit %" PRIu64 " (offset 0x%" PRIx64 ") goes on in region %" PRIu64
        ", whose first word is 0x%" PRIx64 " and not its piece",
        head, head * kUnitBytes, region, word);
  }
}

// [HEAP-7]
void Validator::CheckSlab(uint64_t unit, unsigned size_class) {
  Segment segment;
  segment.head = UnitIndex(unit);
  segment.start = units_.AddressOf(segment.head);
  segment.BecomeSlab(size_class);
  const Slab slab(segment);
  if (slab.Header()->magic != (kSlabMagic ^ unit)) {
    Add("[HEAP-2] the slab at unit %" PRIu64 " (offset 0x%" PRIx64
        ") has no slab's header, but 0x%" PRIx64,
        unit, unit * kUnitBytes, slab.Header()->magic);
    return;
  }
  for (uint64_t i = 0; i < BitLineCount(size_class) * kPairsPerLine; ++i) {
    const BitPair& pair = slab.Pairs()[i];
    const uint64_t blocks = slab.Blocks(i);
    const uint64_t wrong = (pmem::Load(&pair.bits) | pmem::Load(&pair.freed)) & ~blocks;
    if (wrong == 0) continue;
    Add("[HEAP-7] the slab at unit %" PRIu64 " (offset 0x%" PRIx64 ") of %" PRIu64
        "-byte blocks has the bits 0x%" PRIx64 " set in word %" PRIu64 ", which are no blocks'",
        unit, unit * kUnitBytes, BlockBytes(size_class), wrong, i);
  }
}

// [HEAP-1], for the volatile bitmap.
void Validator::CheckRemembered(uint64_t unit) {
  const std::optional<bool> remembered = units_.IsRememberedAsUsed(UnitIndex(unit));
  const bool used = unit < covered_end_ || map_units_.contains(unit);
  const bool differs = remembered && *remembered != used;
  if (differs && !differed_) {
    Add("[HEAP-1] from unit %" PRIu64 " (offset 0x%" PRIx64
        ") on, units are %s on the medium and remembered as %s",
        unit, unit * kUnitBytes, used ? "used" : "free", used ? "free" : "used");
  }
  differed_ = differs;
}

}  // namespace

void Heap::Validate(const Report& report) {
  std::lock_guard lock(mutex_);
  Validator(facts_.header, units_, report).Walk();
}

}  // namespace morsel::alloc
