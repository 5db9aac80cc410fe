#include "pmem/image/tree_writer.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "base/error.h"
#include "pmem/image/buffer.h"
#include "pmem/image/leaf_writer.h"

namespace morsel::pmem::image {
namespace {

std::vector<Entry> EntriesOf(const std::vector<Node>& nodes) {
  std::vector<Entry> entries;
  for (const Node& node : nodes) entries.push_back(node.entry);
  return entries;
}

const PageSet::Pages kAllPages = PageSet::Pages().set();

}  // namespace

Result<Tree> TreeWriter::Write(const char* frames, uint64_t size_bytes, const PageSet* dirty,
                               const TouchedPages* touched) {
  Tree tree;
  tree.nodes.resize(DivideUp(size_bytes, kGiantBytes));
  MORSEL_TRY(WriteLeaves(frames, size_bytes, dirty, touched, tree));
  static const Node kNothing;
  for (uint64_t giant = 0; giant < tree.nodes.size(); ++giant) {
    Node& node = tree.nodes[giant];
    const Node& old = giant < old_.nodes.size() ? old_.nodes[giant] : kNothing;
    const Result<Entry> entry = WriteTable(node.leaves, old.entry, old.leaves);
    if (!entry) return entry.status();
    node.entry = *entry;
  }
  std::vector<Entry> entries = EntriesOf(tree.nodes);
  Result<Entry> root = WriteTable(entries, old_.root, EntriesOf(old_.nodes));
  if (!root) return root.status();
  tree.root = *root;
  tree.nodes.resize(entries.size());
  return tree;
}

// What failed is over on return: its space may be given back.
Status TreeWriter::WriteLeaves(const char* frames, uint64_t size_bytes, const PageSet* dirty,
                               const TouchedPages* touched, Tree& tree) {
  const uint64_t leaves = size_bytes / kSubtreeBytes;
  for (uint64_t giant = 0; giant < tree.nodes.size(); ++giant) {
    tree.nodes[giant].leaves.resize(std::min(kEntriesPerNode, leaves - giant * kEntriesPerNode));
  }
  LeafWriter writer(file_, space_, old_, codec_, written_);
  MORSEL_TRY(
      writer.Begin(dirty != nullptr ? dirty->subtrees().size() : leaves, dirty != nullptr, &tree));
  for (uint64_t i = 0; i < leaves; ++i) {
    const SubtreePosition position(i);
    const PageSet::Pages* const pages = dirty != nullptr ? dirty->Of(position) : nullptr;
    if (dirty != nullptr && pages == nullptr) {
      tree.Keep(position, old_);
      continue;
    }
    // What was never touched is zero: the row says so already.
    const PageSet::Pages read = touched != nullptr ? touched->Of(position) : kAllPages;
    if (read.any()) MORSEL_TRY(writer.Add(position, frames + i * kSubtreeBytes, pages, read));
  }
  return writer.Finish();
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
  written_.push_back(TableExtentOf(entry));
  return file_.WriteAll(bytes, padded_bytes, entry.offset);
}

}  // namespace morsel::pmem::image
