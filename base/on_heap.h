// A value that is too large for a stack: threads may have little of it (morsel.h).
#pragma once

#include <memory>
#include <utility>

namespace morsel {

/// Is used like a T, and copied like one. After a move only assignment and destruction are allowed.
template <class T>
class OnHeap {
 public:
  OnHeap() : value_(new T{}) {}
  OnHeap(const T& value) : value_(new T(value)) {}
  OnHeap(const OnHeap& other) : OnHeap(*other) {}
  OnHeap(OnHeap&& other) noexcept = default;
  OnHeap& operator=(const OnHeap& other) {
    value_ = std::make_unique<T>(*other);
    return *this;
  }
  OnHeap& operator=(OnHeap&& other) noexcept = default;

  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  operator const T&() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace morsel
