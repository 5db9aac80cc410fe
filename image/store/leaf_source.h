// Where the leaves of a new image come from, if not from a morsel's memory.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace morsel::image {

/// Fills leaves, several at a time, for a writer that asks for them in ascending order.
/// Threads  one.
class LeafSource {
 public:
  virtual ~LeafSource() = default;

  /// The subtrees that have a leaf, in ascending order. All others are zero.
  virtual const std::vector<SubtreePosition>& positions() const = 0;

  /// How many leaves may be begun and not awaited.
  virtual size_t ahead_max() const = 0;

  /// Begins to fill the 2 MiB at `leaf`. Nobody else touches them before Await() or Drain().
  virtual Status Start(SubtreePosition position, char* leaf) = 0;

  /// Waits until `leaf` is filled. Leaves are awaited in the order in which they were begun.
  virtual Status Await(SubtreePosition position, char* leaf) = 0;

  /// Is called when all leaves have been awaited. A failure means that what they were filled with
  /// cannot be believed.
  virtual Status Finish() = 0;

  /// Waits until nothing is being filled any more. May be called at any time.
  virtual void Drain() = 0;
};

}  // namespace morsel::image
