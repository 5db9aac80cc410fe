// Leaves of a new image that come from elsewhere than memory.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace morsel::pmem::image {

/// Threads  one.
class LeafSource {
 public:
  virtual ~LeafSource() = default;

  /// Where there is something, in ascending order.
  virtual const std::vector<SubtreePosition>& positions() const = 0;

  /// How many may be begun and not awaited.
  virtual size_t ahead_max() const = 0;

  /// Begins to fill the 2 MiB at `leaf`, which are nobody else's until Await(), or Drain().
  virtual Status Start(SubtreePosition position, char* leaf) = 0;

  /// Until it is filled, in the order in which they were begun.
  virtual Status Await(SubtreePosition position, char* leaf) = 0;

  /// All have been awaited. A failure: what they were filled with is not to be believed.
  virtual Status Finish() = 0;

  /// Nothing is being filled any more.
  virtual void Drain() = 0;
};

}  // namespace morsel::pmem::image
