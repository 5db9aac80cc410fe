// Which pages of a morsel's memory were ever touched.
#pragma once

#include "pmem/page_set.h"

namespace morsel::pmem {

class TouchedPages {
 public:
  virtual ~TouchedPages() = default;

  /// Those of a subtree. All others are zero: whoever read them would take memory for them.
  virtual PageSet::Pages Of(SubtreePosition position) const = 0;
};

}  // namespace morsel::pmem
