#include "image/store/tree_writer.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>

#include "base/bits.h"
#include "base/error.h"
#include "image/pipeline/buffer.h"
#include "image/store/leaf_writer.h"
#include "image/store/touched_walk.h"

namespace morsel::image {
namespace {

// On the average a checkpoint may write, beside its pages, half as much again and
// kEarnedForNothing. Tables and lists come out of that; what is left is for compacting. What a
// checkpoint does not spend is saved for later ones, up to kSavedMax. What it had to spend beyond
// that is owed, up to kOwedMax, and later ones save it.
constexpr int64_t kCompactBytes = kSubtreeBytes + kPageSumsBytes;
constexpr int64_t kEarnedForNothing = kMiB;
constexpr int64_t kSavedMax = 2 * kCompactBytes;
constexpr int64_t kOwedMax = 16 * kCompactBytes;

uint64_t BytesOf(SubtreePosition position, const os::PageSet* dirty) {
  if (dirty == nullptr) return kSubtreeBytes;
  const os::PageSet::Pages* const pages = dirty->Of(position);
  return pages != nullptr ? pages->count() * kPageBytes : 0;
}

uint64_t PageCount(const os::PageSet& set) {
  uint64_t count = 0;
  for (const auto& [position, pages] : set.subtrees()) count += pages.count();
  return count;
}

std::vector<Entry> EntriesOf(const std::vector<Table>& tables) {
  std::vector<Entry> entries;
  for (const Table& table : tables) entries.push_back(table.entry);
  return entries;
}

}  // namespace

uint64_t TreeWriter::BytesToLookAt(const Source& source) {
  if (source.leaves != nullptr) return source.leaves->positions().size() * kSubtreeBytes;
  if (source.dirty == nullptr) return source.size_bytes;
  return PageCount(*source.dirty) * kPageBytes;
}

Result<Tree> TreeWriter::Write(const Source& source, ProgressMeter& meter) {
  Tree tree;
  tree.tables.resize(DivideUp(source.size_bytes, kGiantBytes));
  if (Status status = WriteLeaves(source, meter, tree); !status.ok()) {
    patches_.Drain();
    return status;
  }
  static const Table kNothing;
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    Table& table = tree.tables[giant];
    const Table& old = giant < old_.tables.size() ? old_.tables[giant] : kNothing;
    const Result<Entry> entry = WriteTable(table.leaves, old.entry, old.leaves);
    if (!entry) return entry.status();
    table.entry = *entry;
  }
  std::vector<Entry> entries = EntriesOf(tree.tables);
  Result<Entry> root = WriteTable(entries, old_.root, EntriesOf(old_.tables));
  if (!root) return root.status();
  tree.root = *root;
  tree.tables.resize(entries.size());
  CarryOver();
  return tree;
}

void TreeWriter::CarryOver() {
  const uint64_t beside_pages = compacted_bytes_ + patches_.list_bytes() + table_bytes_;
  const uint64_t earned = patches_.page_bytes() / 2 + kEarnedForNothing;
  compact_bytes_ += static_cast<int64_t>(earned) - static_cast<int64_t>(beside_pages);
  compact_bytes_ = std::clamp(compact_bytes_, -kOwedMax, kSavedMax);
}

// A subtree with many dirty pages is compared as a whole: it may be in one huge frame, all of whose
// pages are dirty as soon as one is.
TreeWriter::Action TreeWriter::ActionOf(SubtreePosition position, const os::PageSet* dirty) const {
  if (compacted_.contains(position)) return Action::kRewrite;
  if (dirty == nullptr) return Action::kCompare;
  const os::PageSet::Pages* const pages = dirty->Of(position);
  if (pages == nullptr) return Action::kReuse;
  return IsPresent(old_.leaf(position)) && pages->count() <= kDirtyMax ? Action::kPatch
                                                                       : Action::kCompare;
}

// Chooses the leaves that are written whole again: those with the most patches, as each costs the
// same however many patches it loses. While there are many patches, it chooses as many leaves as
// there is to spend for. While there are too many, it goes on whatever that costs, so that there is
// room for what the checkpoint brings. How the dirty pages were found does not matter.
void TreeWriter::ChooseCompacted(uint64_t leaves, uint64_t patch_count) {
  const uint64_t many = patches_max_ / 5 * 3;
  const uint64_t too_many = patches_max_ / 8 * 7;
  if (patch_count <= many) return;
  std::vector<std::pair<uint64_t, SubtreePosition>> by_count;
  for (const auto& [position, patches] : old_.patches) {
    if (position.value() < leaves) by_count.emplace_back(patches->size(), position);
  }
  // This is a heap and is not sorted, because only the first few are wanted.
  std::make_heap(by_count.begin(), by_count.end());
  uint64_t left = patch_count;
  for (int64_t spent = kCompactBytes; !by_count.empty(); spent += kCompactBytes) {
    const bool may_compact = left > many && spent <= compact_bytes_;
    const bool must_compact = left > too_many;
    if (!may_compact && !must_compact) return;
    std::pop_heap(by_count.begin(), by_count.end());
    compacted_.insert(by_count.back().second);
    left -= by_count.back().first;
    by_count.pop_back();
  }
}

Status TreeWriter::WriteLeaves(const Source& source, ProgressMeter& meter, Tree& tree) {
  const uint64_t leaves = source.size_bytes / kSubtreeBytes;
  tree.lists = old_.lists;
  tree.patch_count = old_.patch_count;
  for (auto it = old_.patches.lower_bound(SubtreePosition(leaves)); it != old_.patches.end();
       ++it) {
    tree.patch_count -= it->second->size();
  }
  ChooseCompacted(leaves, tree.patch_count);
  MORSEL_TRY(source.leaves != nullptr ? WriteFrom(*source.leaves, meter, tree)
                                      : WriteChanged(source, meter, tree));
  return patches_.Finish(tree);
}

// On return no leaf is in flight any more, even after a failure.
Status TreeWriter::WriteChanged(const Source& source, ProgressMeter& meter, Tree& tree) {
  const uint64_t leaves = source.size_bytes / kSubtreeBytes;
  uint64_t expected = source.dirty == nullptr ? leaves : compacted_.size();
  for (uint64_t i = 0; source.dirty != nullptr && i < leaves; ++i) {
    if (ActionOf(SubtreePosition(i), source.dirty) == Action::kCompare) ++expected;
  }
  LeafWriter writer({file_, space_, written_, generation_, codec_}, old_, patches_, tree, expected);
  TouchedWalk touched(source.touched, SubtreePosition(leaves));
  for (uint64_t i = 0; i < leaves; ++i) {
    const SubtreePosition position(i);
    const Action action = ActionOf(position, source.dirty);
    if (action != Action::kReuse) meter.Advance(BytesOf(position, source.dirty));
    if (action == Action::kReuse || action == Action::kPatch) tree.Keep(position, old_);
    if (action == Action::kReuse) continue;
    const char* const subtree = source.frames + i * kSubtreeBytes;
    const os::PageSet::Pages read = touched.Of(position);
    if (action == Action::kPatch) {
      const Result<bool> replaced =
          patches_.Replace(position, *source.dirty->Of(position), {subtree, read}, tree);
      if (!replaced) return replaced.status();
      if (*replaced) continue;
      tree.Drop(position);
    }
    MORSEL_TRY(writer.Add(position, subtree, read, action != Action::kCompare));
  }
  MORSEL_TRY(writer.Finish());
  compacted_bytes_ = writer.compacted_bytes();
  return Code::kOk;
}

// Stores what comes from a source. Some leaves are filled while others are written.
Status TreeWriter::WriteFrom(LeafSource& source, ProgressMeter& meter, Tree& tree) {
  const std::vector<SubtreePosition>& all = source.positions();
  LeafWriter writer({file_, space_, written_, generation_, codec_}, old_, patches_, tree,
                    all.size());
  // The source fills the writer's memory, so that it is drained before the writer goes.
  const std::unique_ptr<LeafSource, void (*)(LeafSource*)> drained(
      &source, [](LeafSource* filling) { filling->Drain(); });
  const size_t ahead_max = std::min(LeafWriter::kTakenMax, source.ahead_max());
  std::deque<char*> begun;
  size_t next = 0;
  for (const SubtreePosition position : all) {
    for (; next < all.size() && begun.size() < ahead_max; ++next) {
      const Result<char*> leaf = writer.Take();
      if (!leaf) return leaf.status();
      MORSEL_TRY(source.Start(all[next], *leaf));
      begun.push_back(*leaf);
    }
    MORSEL_TRY(source.Await(position, begun.front()));
    begun.pop_front();
    MORSEL_TRY(writer.AddTaken(position));
    meter.Advance(kSubtreeBytes);
  }
  MORSEL_TRY(source.Finish());
  return writer.Finish();
}

// Writes a table, unless the old generation has the same one.                              [IMG-3]
Result<Entry> TreeWriter::WriteTable(std::vector<Entry>& entries, const Entry& old_entry,
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
  MORSEL_TRY(WriteExtent(padded.get(), table));
  return table;
}

// Writes a table to free space. `bytes` is padded to whole blocks.                         [IMG-1]
Status TreeWriter::WriteExtent(const char* bytes, Entry& entry) {
  const uint64_t padded_bytes = AlignUp(entry.stored_bytes, kBlockBytes);
  entry.kind = Kind::kPresent;
  entry.offset = space_.Take(padded_bytes);
  written_.push_back(TableExtentOf(entry));
  table_bytes_ += padded_bytes;
  return file_.WriteAll(bytes, padded_bytes, entry.offset);
}

}  // namespace morsel::image
