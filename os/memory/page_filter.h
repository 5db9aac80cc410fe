// Which pages of a morsel's memory were ever touched.
#pragma once

#include "os/memory/page_set.h"

namespace morsel::pmem {

class PageFilter {
 public:
  virtual ~PageFilter() = default;

  /// Those of a subtree. All others are zero: whoever read them would take memory for them.
  virtual PageSet::Pages Of(SubtreePosition position) const = 0;

  /// The first subtree from `from` on, and before `end`, of which any may be; `end` where there is
  /// none. To ask for that of very many that were never touched is faster than to ask for each.
  virtual SubtreePosition Next(SubtreePosition from, SubtreePosition end) const {
    return from < end ? from : end;
  }
};

}  // namespace morsel::pmem
