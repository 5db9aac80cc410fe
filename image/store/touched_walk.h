// Tells which pages of each subtree are to be read, one subtree after the other.
#pragma once

#include "image/store/touched_copy.h"
#include "os/memory/page_filter.h"

namespace morsel::image {

/// Asks a filter about subtrees that follow each other. However many in a row were never touched,
/// it asks about them once: asking the kernel about each would take long.
/// Threads  one.
class TouchedWalk {
 public:
  /// Walks over subtrees before `end`. `touched` outlives the walk; nullptr: all pages are read.
  TouchedWalk(const os::PageFilter* touched, SubtreePosition end) : touched_(touched), end_(end) {}

  /// Returns the pages to read of the subtree at `position`. Positions ascend from call to call.
  os::PageSet::Pages Of(SubtreePosition position) {
    if (touched_ == nullptr) return kAllPages;
    const bool is_neighbour = position.value() == last_.value() + 1;
    last_ = position;
    if (position < next_) return {};
    if (is_neighbour && next_ < position) next_ = touched_->Next(position, end_);
    return position < next_ ? os::PageSet::Pages() : touched_->Of(position);
  }

 private:
  const os::PageFilter* touched_;
  SubtreePosition end_;
  SubtreePosition last_{};
  SubtreePosition next_{};  // no subtree from last_ up to this one was touched
};

}  // namespace morsel::image
