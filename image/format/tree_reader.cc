#include "image/format/tree_reader.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "base/error.h"
#include "image/format/lists.h"
#include "image/format/space.h"
#include "image/format/version_4.h"

namespace morsel::image {
namespace {

// What an entry is for, and what messages call it.
struct Subject {
  std::string name;
  bool is_leaf;
  uint64_t entries_max;  // of a table
  bool leads_to_leaves = false;
};

Status ValidateKind(const Reading& reading, const Subject& subject, const Entry& entry) {
  const bool kind_is_known = entry.kind == Kind::kPresent;
  const bool codec_is_known = subject.is_leaf ? IsKnown(entry.codec) : entry.codec == Codec::kNone;
  if (kind_is_known && codec_is_known) return Code::kOk;
  return Fail(Code::kVersion,
              "image '%s': %s is of kind %u, codec %u, which this library does not know: open it "
              "with a newer one",
              reading.file.path().c_str(), subject.name.c_str(), static_cast<unsigned>(entry.kind),
              static_cast<unsigned>(entry.codec));
}

// [IMG-9]
bool LeafLengthIsRight(const Entry& leaf) {
  return leaf.codec == Codec::kNone
             ? leaf.stored_bytes == kSubtreeBytes
             : leaf.stored_bytes != 0 && leaf.stored_bytes <= kEncodedBytesMax;
}

// The extents of an entry that is present: of a leaf and its sums, or of a table's copies.
std::vector<FileExtent> ExtentsOf(const Subject& subject, const Entry& entry) {
  if (!subject.is_leaf) return TableExtentsOf(entry);
  return {LeafExtentOf(entry), SumsExtentOf(entry)};
}

// [IMG-4] [IMG-10]
bool PlacesAreRight(const Reading& reading, const Subject& subject, const Entry& entry) {
  const bool is_of_4 = IsOfVersion4(reading.superblock);
  const bool is_raw_leaf = subject.is_leaf && entry.codec == Codec::kNone && !is_of_4;
  if (is_raw_leaf && !IsAligned(entry.offset, kSubtreeBytes)) return false;
  if (entry.second == 0 && !is_of_4) return false;
  const std::vector<FileExtent> extents = ExtentsOf(subject, entry);
  return std::all_of(extents.begin(), extents.end(), [](const FileExtent& extent) {
    return IsAligned(extent.offset, kBlockBytes) && extent.offset >= kExtentsStart;
  });
}

Status ValidateEntry(const Reading& reading, const Subject& subject, const Entry& entry) {
  const char* const path = reading.file.path().c_str();
  const char* const name = subject.name.c_str();
  if (entry.kind == Kind::kAbsent) {
    if (entry == Entry{}) return Code::kOk;
    return Fail(Code::kCorrupt,
                "image '%s': %s is absent and yet has an extent; restore it from a copy", path,
                name);
  }
  MORSEL_TRY(ValidateKind(reading, subject, entry));
  const bool length_is_right =
      subject.is_leaf ? LeafLengthIsRight(entry)
                      : entry.stored_bytes != 0 && entry.stored_bytes % sizeof(Entry) == 0 &&
                            entry.stored_bytes / sizeof(Entry) <= subject.entries_max;
  if (!length_is_right || !PlacesAreRight(reading, subject, entry) ||
      entry.generation > reading.superblock.generation) {
    return Fail(Code::kCorrupt,
                "image '%s': %s has an impossible extent of %" PRIu32 " bytes at offset %" PRIu64
                "; restore it from a copy",
                path, name, entry.stored_bytes, entry.offset);
  }
  for (const FileExtent& extent : ExtentsOf(subject, entry)) {
    if (Within(extent.offset, extent.size_bytes, reading.file_bytes)) continue;
    return Fail(Code::kCorrupt,
                "image '%s' has %" PRIu64 " bytes, but %s lies at offset %" PRIu64 ", %" PRIu64
                " bytes long: it was truncated; restore it from a copy",
                path, reading.file_bytes, name, extent.offset, extent.size_bytes);
  }
  return Code::kOk;
}

// Reads the copy of a table that lies at `offset`.                                        [IMG-3]
Status ReadCopy(const Reading& reading, const Subject& subject, const Entry& entry, uint64_t offset,
                std::vector<Entry>& entries) {
  entries.resize(entry.stored_bytes / sizeof(Entry));
  MORSEL_TRY(reading.file.ReadExactly(entries.data(), entry.stored_bytes, offset));
  if (Checksum128(entries.data(), entry.stored_bytes) == SumOf(entry)) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s': %s at offset %" PRIu64 " fails its checksum; restore it from a copy",
              reading.file.path().c_str(), subject.name.c_str(), offset);
}

// Reads a table by the first of its copies that is sound.
Status ReadTable(const Reading& reading, const Subject& subject, const Entry& entry,
                 std::vector<Entry>& entries) {
  MORSEL_TRY(ValidateEntry(reading, subject, entry));
  if (!IsPresent(entry)) return Code::kOk;
  KeepLastError keep;
  Status read;
  for (const FileExtent& copy : TableExtentsOf(entry)) {
    read = ReadCopy(reading, subject, entry, copy.offset, entries);
    if (read.ok()) break;
  }
  if (!read.ok()) {
    keep.LetGo();
    return read;
  }
  if (IsOfVersion4(reading.superblock)) {
    for (Entry& one : entries) one = FromVersion4(one, subject.leads_to_leaves);
  }
  if (IsPresent(entries.back())) return Code::kOk;
  keep.LetGo();
  return Fail(Code::kCorrupt,
              "image '%s': %s at offset %" PRIu64
              " ends with an absent entry; restore it from a copy",
              reading.file.path().c_str(), subject.name.c_str(), entry.offset);
}

std::string TableName(const ImageSuperblock& superblock, uint64_t giant) {
  char text[128];
  const uint64_t begin = superblock.base + giant * kGiantBytes;
  std::snprintf(text, sizeof text,
                "the table of subtrees %" PRIu64 "-%" PRIu64 " (0x%" PRIx64 "-0x%" PRIx64 ")",
                giant * kEntriesPerTable, (giant + 1) * kEntriesPerTable - 1, begin,
                begin + kGiantBytes);
  return text;
}

Status ReadLeafTable(const Reading& reading, uint64_t giant, Table& table) {
  const uint64_t subtrees = reading.superblock.size_bytes / kSubtreeBytes;
  const uint64_t first = giant * kEntriesPerTable;
  const Subject subject = {TableName(reading.superblock, giant), false,
                           std::min(kEntriesPerTable, subtrees - first), true};
  MORSEL_TRY(ReadTable(reading, subject, table.entry, table.leaves));
  for (uint64_t i = 0; i < table.leaves.size(); ++i) {
    if (table.leaves[i] == Entry{}) continue;
    const Subject leaf = {SubtreeName(reading.superblock.base, SubtreePosition(first + i)), true,
                          0};
    const Status valid = ValidateEntry(reading, leaf, table.leaves[i]);
    if (valid.ok()) continue;
    MORSEL_TRY(reading.damaged(valid));
    table.leaves[i] = Entry{};
  }
  return Code::kOk;
}

Status ReadLeafTables(const Reading& reading, Tree& tree) {
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    Table& table = tree.tables[giant];
    const Status read = ReadLeafTable(reading, giant, table);
    if (read.ok()) continue;
    MORSEL_TRY(reading.damaged(read));
    table = Table{};
  }
  return Code::kOk;
}

// [IMG-4] This refuses loops, too: a table that a tree leads to twice overlaps itself.
Status ValidateDisjoint(const Reading& reading, const std::vector<FileExtent>& extents) {
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

// The log is an extent like the others, and must lie in the file. So is slot B.            [IMG-4]
Status ValidateExtents(const Reading& reading, const Tree& tree) {
  std::vector<FileExtent> extents = tree.Extents();
  if (!IsOfVersion4(reading.superblock)) {
    const FileExtent slot = {kSlotOffsets[1], kSuperblockBytes};
    extents.insert(std::upper_bound(extents.begin(), extents.end(), slot), slot);
  }
  if (const std::optional<FileExtent> log = LogExtentOf(reading.superblock)) {
    if (!Within(log->offset, log->size_bytes, reading.file_bytes)) {
      return Fail(Code::kCorrupt,
                  "image '%s' has %" PRIu64 " bytes, but its log lies at offset %" PRIu64
                  ", %" PRIu64 " bytes long: it was truncated; restore it from a copy",
                  reading.file.path().c_str(), reading.file_bytes, log->offset, log->size_bytes);
    }
    extents.insert(std::upper_bound(extents.begin(), extents.end(), *log), *log);
  }
  return ValidateDisjoint(reading, extents);
}

Status ReadRoot(const Reading& reading, Tree& tree) {
  tree.root = reading.superblock.root;
  std::vector<Entry> entries;
  const uint64_t giants = DivideUp(reading.superblock.size_bytes, kGiantBytes);
  MORSEL_TRY(ReadTable(reading, {"the root table", false, giants}, tree.root, entries));
  tree.tables.resize(entries.size());
  for (uint64_t giant = 0; giant < entries.size(); ++giant) {
    tree.tables[giant].entry = entries[giant];
  }
  return Code::kOk;
}

// Drops tables of which a copy overlaps that of another; the first one in the file is kept. The
// tables that are left take no more memory than the file is long.
Status DropMeetingTables(const Reading& reading, Tree& tree) {
  std::vector<std::pair<FileExtent, uint64_t>> tables;
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    const Entry& entry = tree.tables[giant].entry;
    if (!IsPresent(entry)) continue;
    for (const FileExtent& copy : TableExtentsOf(entry)) tables.push_back({copy, giant});
  }
  std::sort(tables.begin(), tables.end());
  uint64_t end = 0;
  for (const auto& [extent, giant] : tables) {
    if (extent.offset >= end) {
      // A table outside the file is refused when it is read.
      end = std::max(end, extent.offset + extent.size_bytes);
      continue;
    }
    if (!IsPresent(tree.tables[giant].entry)) continue;
    MORSEL_TRY(reading.damaged(Fail(
        Code::kCorrupt, "image '%s': %s at offset %" PRIu64 " meets another table",
        reading.file.path().c_str(), TableName(reading.superblock, giant).c_str(), extent.offset)));
    tree.tables[giant] = Table{};
  }
  return Code::kOk;
}

}  // namespace

Result<Tree> ReadTree(const os::File& file, const ImageSuperblock& superblock) {
  const Result<uint64_t> file_bytes = file.SizeBytes();
  if (!file_bytes) return file_bytes.status();
  const Damaged refuse = [](Status status) { return status; };
  const Reading reading = {file, superblock, *file_bytes, refuse};
  Tree tree;
  MORSEL_TRY(ReadRoot(reading, tree));
  // The root must not lead to one table many times. This is checked before the tables are read, so
  // that they take no more memory than the file is long.
  MORSEL_TRY(ValidateExtents(reading, tree));
  MORSEL_TRY(ReadLeafTables(reading, tree));
  MORSEL_TRY(ValidateExtents(reading, tree));
  MORSEL_TRY(ReadLists(reading, tree));
  if (!tree.lists.empty()) MORSEL_TRY(ValidateExtents(reading, tree));
  return tree;
}

bool ReadSumsAt(const os::File& file, uint64_t offset, const Sum128& sum, PageSums& sums) {
  const KeepLastError keep;
  return file.ReadExactly(&sums, sizeof sums, offset).ok() &&
         Checksum128(&sums, sizeof sums) == sum;
}

void FindDamagedCopies(const os::File& file, const ImageSuperblock& superblock, const Tree& tree,
                       const std::function<void(const char* message)>& report) {
  if (IsOfVersion4(superblock)) return;
  const Damaged refuse = [](Status status) { return status; };
  const Reading reading = {file, superblock, 0, refuse};
  const auto tell = [&](const std::string& name, uint64_t offset) {
    const KeepLastError keep;
    (void)Fail(Code::kCorrupt,
               "image '%s': a copy of %s, at offset %" PRIu64
               ", is damaged or cannot be read; nothing is lost, as the other one serves: export "
               "the morsel, and import that",
               file.path().c_str(), name.c_str(), offset);
    report(LastError());
  };
  std::vector<Entry> entries;
  const auto look = [&](const std::string& name, const Entry& table) {
    if (!IsPresent(table)) return;
    for (const FileExtent& copy : TableExtentsOf(table)) {
      const KeepLastError keep;
      if (!ReadCopy(reading, {name, false, 0}, table, copy.offset, entries).ok()) {
        tell(name, copy.offset);
      }
    }
  };
  for (const PatchList& list : DamagedCopiesOfLists(reading, tree)) {
    tell("the list of replaced pages", list.offset);
  }
  look("the root table", tree.root);
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    look(TableName(superblock, giant), tree.tables[giant].entry);
  }
}

Result<Tree> ReadIntact(const os::File& file, const ImageSuperblock& superblock,
                        const Damaged& damaged) {
  const Result<uint64_t> file_bytes = file.SizeBytes();
  if (!file_bytes) return file_bytes.status();
  const Reading reading = {file, superblock, *file_bytes, damaged};
  Tree tree;
  MORSEL_TRY(ReadRoot(reading, tree));
  MORSEL_TRY(DropMeetingTables(reading, tree));
  MORSEL_TRY(ReadLeafTables(reading, tree));
  MORSEL_TRY(ReadLists(reading, tree));
  return tree;
}

}  // namespace morsel::image
