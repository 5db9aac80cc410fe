#include "pmem/image/tree_writer.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "base/error.h"

namespace morsel::pmem::image {
namespace {

bool IsZero(const char* bytes, uint64_t size_bytes) {
  return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size_bytes - 1) == 0;
}

std::vector<Entry> EntriesOf(const std::vector<Node>& nodes) {
  std::vector<Entry> entries;
  for (const Node& node : nodes) entries.push_back(node.entry);
  return entries;
}

}  // namespace

Buffer MakeBuffer(uint64_t size_bytes) {
  return Buffer(static_cast<char*>(std::aligned_alloc(kBlockBytes, size_bytes)));
}

Result<Tree> TreeWriter::Write(const char* frames, uint64_t size_bytes) {
  bounce_ = MakeBuffer(kSubtreeBytes);
  if (bounce_ == nullptr) return Fail(Code::kNoMemory, "no memory for a checkpoint's buffer");
  Tree tree;
  tree.nodes.resize(DivideUp(size_bytes, kGiantBytes));
  for (uint64_t giant = 0; giant < tree.nodes.size(); ++giant) {
    MORSEL_TRY(WriteNode(frames, size_bytes, giant, tree.nodes[giant]));
  }
  std::vector<Entry> entries = EntriesOf(tree.nodes);
  Result<Entry> root = WriteTable(entries, old_.root, EntriesOf(old_.nodes));
  if (!root) return root.status();
  tree.root = *root;
  tree.nodes.resize(entries.size());
  return tree;
}

Status TreeWriter::WriteNode(const char* frames, uint64_t size_bytes, uint64_t giant, Node& node) {
  const uint64_t begin = giant * kGiantBytes;
  const uint64_t end = std::min(begin + kGiantBytes, size_bytes);
  for (uint64_t at = begin; at < end; at += kSubtreeBytes) {
    const Entry old = old_.leaf(SubtreePosition(at / kSubtreeBytes));
    const Result<Entry> leaf = WriteLeaf(frames + at, old);
    if (!leaf) return leaf.status();
    node.leaves.push_back(*leaf);
  }
  static const Node kNothing;
  const Node& old = giant < old_.nodes.size() ? old_.nodes[giant] : kNothing;
  const Result<Entry> entry = WriteTable(node.leaves, old.entry, old.leaves);
  if (!entry) return entry.status();
  node.entry = *entry;
  return Code::kOk;
}

Result<Entry> TreeWriter::WriteLeaf(const char* subtree, const Entry& old) {
  if (IsZero(subtree, kSubtreeBytes)) return Entry{};
  // ORDER  copy  <  checksum  <  write
  // WHY    what the checksum is of must be what is written, whatever is stored meanwhile.  [IMG-6]
  // CRASH  no difference; a leaf that was stored to while it was written would load as kCorrupt.
  // TEST   pmem/image/store_test: AStoreDuringTheCheckpointDamagesNothing
  std::memcpy(bounce_.get(), subtree, kSubtreeBytes);
  const Sum128 sum = Checksum128(bounce_.get(), kSubtreeBytes);
  if (IsPresent(old) && old.stored_bytes == kSubtreeBytes && SumOf(old) == sum) return old;
  Entry leaf{};
  leaf.stored_bytes = kSubtreeBytes;
  leaf.sum_low = sum.low;
  leaf.sum_high = sum.high;
  MORSEL_TRY(WriteExtent(bounce_.get(), leaf));
  return leaf;
}

// [IMG-3]
Result<Entry> TreeWriter::WriteTable(std::vector<Entry>& entries, const Entry& old_entry,
                                     const std::vector<Entry>& old_entries) {
  while (!entries.empty() && !IsPresent(entries.back())) entries.pop_back();
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
  MORSEL_TRY(WriteExtent(padded.get(), table));
  return table;
}

// [IMG-1] `bytes` is padded to whole blocks.
Status TreeWriter::WriteExtent(const char* bytes, Entry& entry) {
  const uint64_t padded_bytes = AlignUp(entry.stored_bytes, kBlockBytes);
  entry.kind = Kind::kPresent;
  entry.offset = space_.Take(padded_bytes);
  written_.push_back(ExtentOf(entry));
  return file_.WriteAll(bytes, padded_bytes, entry.offset);
}

}  // namespace morsel::pmem::image
