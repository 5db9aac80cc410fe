#include "morsel/rebase/moved_heap.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "alloc/heap/layout/heap_layout.h"
#include "base/check.h"
#include "base/error.h"
#include "morsel/roots/root_table_layout.h"

namespace morsel {

using alloc::GeometryOf;
using alloc::HeapGeometry;
using alloc::HeapHeader;
using alloc::UnitKind;
using alloc::UnitWord;

namespace {

Status Damaged(const CatalogRecord& record, const std::string& what) {
  return Fail(Code::kCorrupt, "morsel '%s' cannot be moved: %s; see morselctl check",
              record.name.c_str(), what.c_str());
}

HeapHeader HeaderAt(const char* bytes) {
  HeapHeader header;
  std::memcpy(&header, bytes, sizeof header);
  return header;
}

// The words of a table in the prefix.
std::vector<uint64_t> WordsAt(const char* bytes, uint64_t offset, uint64_t count) {
  std::vector<uint64_t> words(count);
  std::memcpy(words.data(), bytes + offset, count * sizeof(uint64_t));
  return words;
}

// How many units region 0 has.
uint64_t UnitsInFirstRegion(uint64_t capacity_bytes) {
  return std::min(capacity_bytes, alloc::kRegionBytes) / alloc::kUnitBytes;
}

// Lets a slab, which begins at `start`, be the one at the unit `to` that was at the unit `from`.
// Its blocks stay where they are; what its color decides changes its place.
void MoveSlab(char* start, unsigned size_class, UnitIndex from, UnitIndex to) {
  const uint64_t magic = alloc::kSlabMagic ^ to.value();
  std::memcpy(start, &magic, sizeof magic);
  const uint64_t before = alloc::BitPairsOffset(size_class, from);
  const uint64_t after = alloc::BitPairsOffset(size_class, to);
  MORSEL_CHECK(alloc::FirstBlock(size_class, from) == alloc::FirstBlock(size_class, to));
  if (before == after) return;
  const uint64_t bytes = alloc::BitLineCount(size_class) * kLineBytes;
  const std::vector<char> bits(start + before, start + before + bytes);
  std::memset(start + before, 0, bytes);
  std::memcpy(start + after, bits.data(), bytes);
}

}  // namespace

Result<std::unique_ptr<alloc::Heap>> OpenCopy(char* bytes, const CatalogRecord& record) {
  HeapHeader header = HeaderAt(bytes);
  const bool is_its = header.base == record.base && header.checksum == alloc::HeaderSum(header) &&
                      std::memcmp(header.id, record.id.data(), record.id.size()) == 0;
  if (!is_its) return Damaged(record, "the header of its heap is damaged, or another morsel's");
  header.base = reinterpret_cast<uint64_t>(bytes);
  header.checksum = alloc::HeaderSum(header);
  std::memcpy(bytes, &header, sizeof header);
  const alloc::HeapPlace place = {bytes, record.size_bytes, record.capacity_bytes, record.id};
  Result<std::unique_ptr<alloc::Heap>> heap =
      alloc::Heap::Open(place, pmem::VolatilePersist(), /*fine=*/false, /*read_only=*/true);
  if (!heap) return heap;
  std::string damage;
  (*heap)->Validate([&](const std::string& message) {
    if (damage.empty()) damage = message;
  });
  if (!damage.empty()) return Damaged(record, damage);
  return heap;
}

void MoveTables(char* memory, const Move& move, const Id& id) {
  char* const copy = memory + move.shift_bytes;
  HeapHeader header = HeaderAt(copy);
  const uint64_t table_bytes = header.root_table_bytes;
  const HeapGeometry before = GeometryOf(move.from_capacity_bytes, table_bytes);
  const HeapGeometry after = GeometryOf(move.to_capacity_bytes, table_bytes);
  const uint64_t shift = move.shift_bytes / alloc::kUnitBytes;
  MORSEL_CHECK(after.first_unit.value() <= before.first_unit.value() + shift);

  header.base = move.to_base;
  header.capacity_bytes = move.to_capacity_bytes;
  std::memcpy(header.id, id.data(), id.size());
  header.root_table_offset = after.root_table_offset;
  header.directory_offset = after.directory_offset;
  header.map_offset = after.map_offset;
  header.first_unit = after.first_unit.value();
  header.checksum = alloc::HeaderSum(header);

  // Regions that are cut off hold nothing, and a directory that moves is of one region only.
  std::vector<uint64_t> directory = WordsAt(copy, before.directory_offset, before.region_count);
  directory.resize(after.region_count);
  const std::vector<uint64_t> map =
      WordsAt(copy, before.map_offset, UnitsInFirstRegion(move.from_capacity_bytes));
  std::vector<uint64_t> moved_map(UnitsInFirstRegion(move.to_capacity_bytes));
  for (uint64_t unit = 0; unit < map.size(); ++unit) {
    if (map[unit] == 0) continue;
    const uint64_t to = unit + shift;
    MORSEL_CHECK(to < moved_map.size());
    moved_map[to] = map[unit];
    const UnitWord word{map[unit]};
    if (shift == 0 || word.kind() != UnitKind::kSlab) continue;
    MoveSlab(memory + to * alloc::kUnitBytes, word.size_class(), UnitIndex(unit), UnitIndex(to));
  }
  const std::vector<char> root_table(copy + before.root_table_offset,
                                     copy + before.root_table_offset + table_bytes);

  std::memset(copy, 0, before.first_unit.value() * alloc::kUnitBytes);
  std::memcpy(memory, &header, sizeof header);
  if (table_bytes != 0) {
    std::memcpy(memory + after.root_table_offset, root_table.data(), table_bytes);
  }
  std::memcpy(memory + after.directory_offset, directory.data(),
              directory.size() * sizeof(uint64_t));
  std::memcpy(memory + after.map_offset, moved_map.data(), moved_map.size() * sizeof(uint64_t));
}

}  // namespace morsel
