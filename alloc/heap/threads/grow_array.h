// Arrays that a thread's part of a heap needs only some of, or not at all.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace morsel::alloc {

/// Moves the `count` elements of `array` into one that has `places`. Returns false if there is no
/// memory: the array is as it was.
template <class T>
bool GrowArray(std::unique_ptr<T[]>& array, size_t count, size_t places) {
  std::unique_ptr<T[]> grown(new (std::nothrow) T[places]);
  if (grown == nullptr) return false;
  std::copy_n(array.get(), count, grown.get());
  array = std::move(grown);
  return true;
}

}  // namespace morsel::alloc
