// Which pages of a morsel's memory were ever touched.
#pragma once

#include "os/memory/page_set.h"

namespace morsel::os {

/// Tells which pages were touched. An answer may contain others, too.
class PageFilter {
 public:
  virtual ~PageFilter() = default;

  /// The pages of a subtree that may have been touched. All others are zero, and need not be read:
  /// reading them would allocate memory.
  virtual PageSet::Pages Of(SubtreePosition position) const = 0;

  /// As Of(), for one that reads these `pages` of the subtree and no others.
  virtual PageSet::Pages Among(const PageSet::Pages&, SubtreePosition position) const {
    return Of(position);
  }

  /// The first subtree of [from, end) that may have such pages; `end` if there is none. It skips
  /// many untouched subtrees faster than a call of Of() for each.
  virtual SubtreePosition Next(SubtreePosition from, SubtreePosition end) const {
    return from < end ? from : end;
  }
};

}  // namespace morsel::os
