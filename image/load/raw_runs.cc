#include "image/load/raw_runs.h"

#include "base/bits.h"

namespace morsel::image {

std::vector<os::FileRun> RawRunsOf(const Tree& tree) {
  std::vector<os::FileRun> runs;
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    const std::vector<Entry>& leaves = tree.tables[giant].leaves;
    for (uint64_t i = 0; i < leaves.size(); ++i) {
      const Entry& leaf = leaves[i];
      const bool is_raw =
          IsPresent(leaf) && leaf.codec == Codec::kNone && IsAligned(leaf.offset, kSubtreeBytes);
      if (!is_raw) continue;
      const uint64_t offset = (giant * kEntriesPerTable + i) * kSubtreeBytes;
      if (!runs.empty() && runs.back().end() == offset &&
          runs.back().file_offset + runs.back().size_bytes == leaf.offset) {
        runs.back().size_bytes += kSubtreeBytes;
      } else {
        runs.push_back({offset, leaf.offset, kSubtreeBytes});
      }
    }
  }
  return runs;
}

Tree WithoutRuns(Tree tree, const std::vector<os::FileRun>& runs) {
  for (const os::FileRun& run : runs) {
    for (uint64_t at = run.offset; at < run.end(); at += kSubtreeBytes) {
      tree.Drop(SubtreePosition(at / kSubtreeBytes));
    }
  }
  return tree;
}

}  // namespace morsel::image
