#include "image/store/table_writer.h"

#include <cstring>

#include "base/bits.h"
#include "base/error.h"
#include "image/pipeline/buffer.h"

namespace morsel::image {
namespace {

std::vector<Entry> EntriesOf(const std::vector<Table>& tables) {
  std::vector<Entry> entries;
  for (const Table& table : tables) entries.push_back(table.entry);
  return entries;
}

}  // namespace

Status TableWriter::Write(Tree& tree, const Tree& old) {
  static const Table kNothing;
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    Table& table = tree.tables[giant];
    const Table& old_table = giant < old.tables.size() ? old.tables[giant] : kNothing;
    const Result<Entry> entry = WriteTable(table.leaves, old_table.entry, old_table.leaves);
    if (!entry) return entry.status();
    table.entry = *entry;
  }
  std::vector<Entry> entries = EntriesOf(tree.tables);
  Result<Entry> root = WriteTable(entries, old.root, EntriesOf(old.tables));
  if (!root) return root.status();
  tree.root = *root;
  tree.tables.resize(entries.size());
  return Code::kOk;
}

// Writes a table, unless the old generation has the same one.                              [IMG-3]
Result<Entry> TableWriter::WriteTable(std::vector<Entry>& entries, const Entry& old_entry,
                                      const std::vector<Entry>& old_entries) {
  while (!entries.empty() && !IsPresent(entries.back())) entries.pop_back();
  entries.shrink_to_fit();
  if (entries.empty()) return Entry{};
  if (entries == old_entries) return old_entry;
  Entry table{};
  table.stored_bytes = static_cast<uint32_t>(entries.size() * sizeof(Entry));
  const Sum128 sum = Checksum128(entries.data(), table.stored_bytes);
  table.sum_low = sum.low;
  table.sum_high = sum.high;
  const uint64_t padded_bytes = AlignUp(table.stored_bytes, kBlockBytes);
  const Buffer padded = MakeBuffer(padded_bytes);
  if (padded == nullptr) return Fail(Code::kNoMemory, "no memory for a checkpoint's table");
  std::memcpy(padded.get(), entries.data(), table.stored_bytes);
  std::memset(padded.get() + table.stored_bytes, 0, padded_bytes - table.stored_bytes);
  MORSEL_TRY(WriteCopies(padded.get(), table));
  return table;
}

// Writes the two copies of a table to free space. `bytes` is padded to whole blocks.
//                                                                                 [IMG-1] [IMG-2]
Status TableWriter::WriteCopies(const char* bytes, Entry& entry) {
  const uint64_t padded_bytes = AlignUp(entry.stored_bytes, kBlockBytes);
  entry.kind = Kind::kPresent;
  entry.offset = space_.Take(padded_bytes);
  entry.second = space_.TakeApart(padded_bytes, entry.offset);
  for (const FileExtent& copy : TableExtentsOf(entry)) written_.push_back(copy);
  for (const FileExtent& copy : TableExtentsOf(entry)) {
    MORSEL_TRY(file_.WriteAll(bytes, padded_bytes, copy.offset));
  }
  return Code::kOk;
}

}  // namespace morsel::image
