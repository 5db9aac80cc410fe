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
#include "image/store/table_writer.h"
#include "image/store/touched_walk.h"

namespace morsel::image {
namespace {

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
  MORSEL_TRY(TableWriter(file_, space_, written_).Write(tree, old_));
  return tree;
}

// A subtree with many dirty pages is compared as a whole: it may be in one huge frame, all of whose
// pages are dirty as soon as one is.
TreeWriter::Action TreeWriter::ActionOf(SubtreePosition position, const Source& source) const {
  const os::PageSet* const dirty = source.dirty;
  if (source.moved != nullptr && source.moved->contains(position)) return Action::kRewrite;
  if (dirty == nullptr) return Action::kCompare;
  const os::PageSet::Pages* const pages = dirty->Of(position);
  if (pages == nullptr) return Action::kReuse;
  return IsPresent(old_.leaf(position)) && pages->count() <= kDirtyMax ? Action::kPatch
                                                                       : Action::kCompare;
}

Status TreeWriter::WriteLeaves(const Source& source, ProgressMeter& meter, Tree& tree) {
  tree.lists = old_.lists;
  MORSEL_TRY(source.leaves != nullptr ? WriteFrom(*source.leaves, meter, tree)
                                      : WriteChanged(source, meter, tree));
  return patches_.Finish(tree);
}

// On return no leaf is in flight any more, even after a failure.
Status TreeWriter::WriteChanged(const Source& source, ProgressMeter& meter, Tree& tree) {
  const uint64_t leaves = source.size_bytes / kSubtreeBytes;
  uint64_t expected = source.dirty == nullptr ? leaves : 0;
  for (uint64_t i = 0; source.dirty != nullptr && i < leaves; ++i) {
    const Action action = ActionOf(SubtreePosition(i), source);
    if (action == Action::kCompare || action == Action::kRewrite) ++expected;
  }
  LeafWriter writer({file_, space_, written_, generation_, codec_}, old_, patches_, tree, expected);
  TouchedWalk touched(source.touched, SubtreePosition(leaves));
  for (uint64_t i = 0; i < leaves; ++i) {
    const SubtreePosition position(i);
    const Action action = ActionOf(position, source);
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
    MORSEL_TRY(writer.Add(position, subtree, read, action == Action::kCompare));
  }
  return writer.Finish();
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

}  // namespace morsel::image
