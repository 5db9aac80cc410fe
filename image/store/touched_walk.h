// Which pages of each subtree are read, asked for one subtree after the other.
#pragma once

#include "image/store/touched_copy.h"
#include "os/memory/page_filter.h"

namespace morsel::pmem::image {

/// Of neighbours that were never touched, however many they are, the kernel is asked once.
class TouchedWalk {
 public:
  /// Of subtrees before `end`; nullptr: all pages are.
  TouchedWalk(const PageFilter* touched, SubtreePosition end) : touched_(touched), end_(end) {}

  /// Later positions come later.
  PageSet::Pages Of(SubtreePosition position) {
    if (touched_ == nullptr) return kAllPages;
    const bool is_neighbour = position.value() == last_.value() + 1;
    last_ = position;
    if (position < next_) return {};
    if (is_neighbour && next_ < position) next_ = touched_->Next(position, end_);
    return position < next_ ? PageSet::Pages() : touched_->Of(position);
  }

 private:
  const PageFilter* touched_;
  SubtreePosition end_;
  SubtreePosition last_{};
  SubtreePosition next_{};  // from the last one that was asked for so far none was touched
};

}  // namespace morsel::pmem::image
