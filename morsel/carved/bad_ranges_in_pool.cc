#include "morsel/carved/bad_ranges_in_pool.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace morsel {
namespace {

// One subtree of a morsel: where it lies on the medium, and the name of the morsel.
struct Owned {
  pmem::DeviceExtent extent;
  std::string name;
};

Result<std::vector<Owned>> OwnedOf(CarvedMetadata& metadata) {
  std::vector<Owned> owned;
  for (const SlotIndex slot : metadata.catalog().List()) {
    const CatalogRecord record = metadata.catalog().record(slot);
    const uint64_t unit_bytes = alloc::SubtreesOf(RoleOf(record)) * kSubtreeBytes;
    const Result<std::vector<SubtreeIndex>> subtrees = metadata.Subtrees(slot);
    if (!subtrees) return subtrees.status();
    uint64_t offset = 0;
    for (const SubtreeIndex subtree : *subtrees) {
      const uint64_t on_device =
          metadata.superblock().data_offset + subtree.value() * kSubtreeBytes;
      owned.push_back({{offset, on_device, unit_bytes}, record.name});
      offset += unit_bytes;
    }
  }
  return owned;
}

Finding FindingOf(const std::string& subject, const pmem::ByteRange& range, const std::string& path,
                  const std::string& where) {
  char text[160];
  std::snprintf(text, sizeof text, "%" PRIu64 " bytes at offset 0x%" PRIx64 " of '",
                range.size_bytes, range.offset);
  return {subject,
          text + path + "' are bad, as the kernel says: " + where +
              "; what they held is lost: copy what can be read, and restore the rest",
          Code::kIo};
}

}  // namespace

Result<std::vector<Finding>> FindingsOf(const std::vector<pmem::ByteRange>& bad,
                                        CarvedMetadata& metadata, const std::string& pool_subject,
                                        const std::string& path) {
  std::vector<Finding> findings;
  if (bad.empty()) return findings;
  const Result<std::vector<Owned>> owned = OwnedOf(metadata);
  if (!owned) return owned.status();
  for (const pmem::ByteRange& range : bad) {
    uint64_t met_bytes = 0;
    for (const Owned& part : *owned) {
      for (const pmem::ByteRange& inside : pmem::BadOfFile({part.extent}, {range})) {
        char where[64];
        std::snprintf(where, sizeof where, "offset 0x%" PRIx64 " of the morsel", inside.offset);
        const uint64_t on_medium = part.extent.on_device + (inside.offset - part.extent.offset);
        findings.push_back(
            FindingOf("morsel '" + part.name + "'", {on_medium, inside.size_bytes}, path, where));
        met_bytes += inside.size_bytes;
      }
    }
    if (met_bytes == range.size_bytes) continue;
    const bool is_own = range.offset < metadata.superblock().metadata_bytes;
    findings.push_back(
        FindingOf(pool_subject, range, path,
                  is_own ? "the pool's own tables are among them" : "free space is among them"));
  }
  return findings;
}

}  // namespace morsel
