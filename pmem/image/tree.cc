#include "pmem/image/tree.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <string>

#include "base/bits.h"
#include "base/error.h"

namespace morsel::pmem::image {
namespace {

// What the sentences of one reading share.
struct Reading {
  const File& file;
  const Superblock& superblock;
  uint64_t file_bytes;
};

// What is said of an entry: the root has no number.
struct Subject {
  std::string name;
  bool is_leaf;
  uint64_t entries_max;  // of a table
};

Status ValidateEntry(const Reading& reading, const Subject& subject, const Entry& entry) {
  const char* const path = reading.file.path().c_str();
  const char* const name = subject.name.c_str();
  if (entry.kind == Kind::kAbsent) {
    if (entry == Entry{}) return Code::kOk;
    return Fail(Code::kCorrupt,
                "image '%s': %s is absent and yet has an extent; restore it from a "
                "copy",
                path, name);
  }
  if (entry.kind != Kind::kPresent || entry.codec != Codec::kNone) {
    return Fail(Code::kVersion,
                "image '%s': %s is of kind %u, codec %u, which this library does not know: open it "
                "with a newer one",
                path, name, static_cast<unsigned>(entry.kind), static_cast<unsigned>(entry.codec));
  }
  const bool length_is_right =
      subject.is_leaf ? entry.stored_bytes == kSubtreeBytes
                      : entry.stored_bytes != 0 && entry.stored_bytes % sizeof(Entry) == 0 &&
                            entry.stored_bytes / sizeof(Entry) <= subject.entries_max;
  if (!length_is_right || !IsAligned(entry.offset, kBlockBytes) || entry.offset < kExtentsStart) {
    return Fail(Code::kCorrupt,
                "image '%s': %s has an impossible extent of %" PRIu32 " bytes at offset %" PRIu64
                "; restore it from a copy",
                path, name, entry.stored_bytes, entry.offset);
  }
  if (!Within(entry.offset, ExtentOf(entry).size_bytes, reading.file_bytes)) {
    return Fail(Code::kCorrupt,
                "image '%s' has %" PRIu64 " bytes, but %s lies at offset %" PRIu64 ", %" PRIu32
                " bytes long: it was truncated; restore it from a copy",
                path, reading.file_bytes, name, entry.offset, entry.stored_bytes);
  }
  return Code::kOk;
}

// [IMG-3]
Status ReadTable(const Reading& reading, const Subject& subject, const Entry& entry,
                 std::vector<Entry>& entries) {
  MORSEL_TRY(ValidateEntry(reading, subject, entry));
  if (!IsPresent(entry)) return Code::kOk;
  entries.resize(entry.stored_bytes / sizeof(Entry));
  MORSEL_TRY(reading.file.ReadExactly(entries.data(), entry.stored_bytes, entry.offset));
  if (Checksum128(entries.data(), entry.stored_bytes) != SumOf(entry) ||
      !IsPresent(entries.back())) {
    return Fail(Code::kCorrupt,
                "image '%s': %s at offset %" PRIu64 " fails its checksum; restore it from a copy",
                reading.file.path().c_str(), subject.name.c_str(), entry.offset);
  }
  return Code::kOk;
}

std::string NodeName(const Superblock& superblock, uint64_t giant) {
  char text[128];
  const uint64_t begin = superblock.base + giant * kGiantBytes;
  std::snprintf(text, sizeof text,
                "the table of subtrees %" PRIu64 "-%" PRIu64 " (0x%" PRIx64 "-0x%" PRIx64 ")",
                giant * kEntriesPerNode, (giant + 1) * kEntriesPerNode - 1, begin,
                begin + kGiantBytes);
  return text;
}

Status ReadNode(const Reading& reading, uint64_t giant, Node& node) {
  const uint64_t subtrees = reading.superblock.size_bytes / kSubtreeBytes;
  const uint64_t first = giant * kEntriesPerNode;
  const Subject table = {NodeName(reading.superblock, giant), false,
                         std::min(kEntriesPerNode, subtrees - first)};
  MORSEL_TRY(ReadTable(reading, table, node.entry, node.leaves));
  for (uint64_t i = 0; i < node.leaves.size(); ++i) {
    if (node.leaves[i] == Entry{}) continue;
    const Subject leaf = {SubtreeName(reading.superblock.base, SubtreePosition(first + i)), true,
                          0};
    MORSEL_TRY(ValidateEntry(reading, leaf, node.leaves[i]));
  }
  return Code::kOk;
}

// [IMG-4] Loops need no other check: a table that lies in its own tree twice meets itself.
Status ValidateDisjoint(const Reading& reading, const std::vector<Extent>& extents) {
  for (size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].offset >= extents[i - 1].end()) continue;
    return Fail(Code::kCorrupt,
                "image '%s': two extents meet, %" PRIu64 " bytes at offset %" PRIu64 " and %" PRIu64
                " bytes at offset %" PRIu64 "; restore it from a copy",
                reading.file.path().c_str(), extents[i - 1].size_bytes, extents[i - 1].offset,
                extents[i].size_bytes, extents[i].offset);
  }
  return Code::kOk;
}

}  // namespace

Entry Tree::leaf(SubtreePosition position) const {
  const uint64_t giant = position.value() / kEntriesPerNode;
  const uint64_t index = position.value() % kEntriesPerNode;
  if (giant >= nodes.size() || index >= nodes[giant].leaves.size()) return {};
  return nodes[giant].leaves[index];
}

std::vector<Extent> Tree::Extents() const {
  std::vector<Extent> extents;
  if (IsPresent(root)) extents.push_back(ExtentOf(root));
  for (const Node& node : nodes) {
    if (IsPresent(node.entry)) extents.push_back(ExtentOf(node.entry));
    for (const Entry& leaf : node.leaves) {
      if (IsPresent(leaf)) extents.push_back(ExtentOf(leaf));
    }
  }
  std::sort(extents.begin(), extents.end());
  return extents;
}

Result<Tree> ReadTree(const File& file, const Superblock& superblock) {
  Result<uint64_t> file_bytes = file.SizeBytes();
  if (!file_bytes) return file_bytes.status();
  const Reading reading = {file, superblock, *file_bytes};
  Tree tree{.root = superblock.root, .nodes = {}};
  std::vector<Entry> entries;
  const uint64_t giants = DivideUp(superblock.size_bytes, kGiantBytes);
  MORSEL_TRY(ReadTable(reading, {"the root table", false, giants}, tree.root, entries));
  tree.nodes.resize(entries.size());
  for (uint64_t giant = 0; giant < entries.size(); ++giant)
    tree.nodes[giant].entry = entries[giant];
  // Before they are read, so that memory is bounded by the file's size, not by how often it is
  // led to.
  MORSEL_TRY(ValidateDisjoint(reading, tree.Extents()));
  for (uint64_t giant = 0; giant < entries.size(); ++giant) {
    MORSEL_TRY(ReadNode(reading, giant, tree.nodes[giant]));
  }
  MORSEL_TRY(ValidateDisjoint(reading, tree.Extents()));
  return tree;
}

std::string SubtreeName(uint64_t base, SubtreePosition position) {
  char text[96];
  const uint64_t begin = base + position.value() * kSubtreeBytes;
  std::snprintf(text, sizeof text, "subtree %" PRIu64 " (0x%" PRIx64 "-0x%" PRIx64 ")",
                position.value(), begin, begin + kSubtreeBytes);
  return text;
}

}  // namespace morsel::pmem::image
