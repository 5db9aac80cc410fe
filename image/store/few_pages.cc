#include "image/store/few_pages.h"

#include "base/on_heap.h"
#include "image/store/page_sums.h"
#include "image/store/touched_copy.h"

namespace morsel::image {
namespace {

// Leaves those pages that differ from the published ones. Returns false where nobody can tell.
bool KeepChanged(const Published& published, SubtreePosition position, const char* subtree,
                 const os::PageSet::Pages& touched, os::PageSet::Pages& pages) {
  OnHeap<PageSums> sums;
  if (!ReadPageSums(published.file, published.tree, position, *sums)) return false;
  PutSums(published.logged, position, *sums);
  for (uint32_t page = 0; page < kPagesPerLeaf; ++page) {
    if (!pages.test(page)) continue;
    pages.set(page, SumOfPage(subtree, page, touched) != sums->of(page));
  }
  return true;
}

}  // namespace

bool CopyFewPages(const Source& source, const Published& published, RecordBuilder& record) {
  if (source.dirty == nullptr || source.leaves != nullptr) return false;
  for (const auto& [position, dirty] : source.dirty->subtrees()) {
    if (position.value() >= source.size_bytes / kSubtreeBytes) continue;  // it was cut off
    if (!IsPresent(published.tree.leaf(position))) return false;
    const char* const subtree = source.frames + position.value() * kSubtreeBytes;
    const os::PageSet::Pages touched =
        source.touched != nullptr ? source.touched->Among(dirty, position) : kAllPages;
    os::PageSet::Pages pages = dirty;
    if (pages.count() > kDirtyMax && !KeepChanged(published, position, subtree, touched, pages)) {
      return false;
    }
    for (uint32_t page = 0; page < kPagesPerLeaf; ++page) {
      if (!pages.test(page)) continue;
      if (record.is_full()) return false;
      CopyPage(record.next(), subtree, page, touched);
      record.Add(position.value() * kPagesPerLeaf + page);
    }
  }
  return true;
}

}  // namespace morsel::image
