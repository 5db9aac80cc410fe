// Which pages of each subtree are read, asked for one subtree after the other.
#pragma once

#include "pmem/image/touched_copy.h"
#include "pmem/touched_pages.h"

namespace morsel::pmem::image {

/// Of subtrees that were never touched, however many follow each other, the kernel is asked once.
class TouchedWalk {
 public:
  /// Of subtrees before `end`; nullptr: all pages are.
  TouchedWalk(const TouchedPages* touched, SubtreePosition end) : touched_(touched), end_(end) {}

  /// Later positions come later.
  PageSet::Pages Of(SubtreePosition position) {
    if (touched_ == nullptr) return kAllPages;
    if (next_ < position) next_ = touched_->Next(position, end_);
    return position < next_ ? PageSet::Pages() : touched_->Of(position);
  }

 private:
  const TouchedPages* touched_;
  SubtreePosition end_;
  SubtreePosition next_{};  // none of those between the last one asked for and it
};

}  // namespace morsel::pmem::image
