// Finds out whether a checkpoint brings only a few pages, and copies them into a record of the log.
#pragma once

#include "image/format/tree.h"
#include "image/format/unsettled_pages.h"
#include "image/log/log_writer.h"
#include "image/store/tree_writer.h"
#include "os/file/file.h"

namespace morsel::image {

/// What a checkpoint is compared with: the published tree, and the log's pages in front of it.
struct Published {
  const os::File& file;
  const Tree& tree;
  const UnsettledPages& logged;
};

/// Copies the pages of the source that differ into `record`, which was begun. Pages that the kernel
/// names one by one are taken to differ. Of a subtree of which it names many, the sums say which.
/// Returns false if a record cannot have it: there are too many pages, or a subtree has no leaf
/// yet, or nobody knows which pages may differ.
bool CopyFewPages(const Source& source, const Published& published, RecordBuilder& record);

}  // namespace morsel::image
