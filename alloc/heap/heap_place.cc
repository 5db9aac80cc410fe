#include "alloc/heap/heap_place.h"

#include <cstring>

#include "alloc/heap/layout/heap_layout.h"
#include "base/check.h"
#include "base/on_heap.h"

namespace morsel::alloc {

void FormatHeap(const HeapPlace& place, uint64_t root_table_bytes, pmem::Persist persist) {
  const HeapGeometry geometry = GeometryOf(place.capacity_bytes, root_table_bytes);
  MORSEL_CHECK(geometry.first_unit.value() * kUnitBytes <= place.size_bytes);
  OnHeap<HeapHeader> header;
  header->magic = kHeapMagic;
  header->version = kHeapVersion;
  header->unit_bytes = kUnitBytes;
  std::memcpy(header->id, place.id.data(), place.id.size());
  header->base = reinterpret_cast<uint64_t>(place.base);
  header->capacity_bytes = place.capacity_bytes;
  header->root_table_offset = geometry.root_table_offset;
  header->root_table_bytes = root_table_bytes;
  header->directory_offset = geometry.directory_offset;
  header->map_offset = geometry.map_offset;
  header->first_unit = geometry.first_unit.value();
  header->checksum = HeaderSum(*header);
  header->state = kHeapClean;
  std::memcpy(place.base, &*header, sizeof *header);
  // The rest of the prefix was zero before. Flushing makes the zeroes durable.
  persist.Range(place.base, geometry.first_unit.value() * kUnitBytes);
}

}  // namespace morsel::alloc
