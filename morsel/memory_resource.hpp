// A std::pmr::memory_resource over a morsel.
#pragma once

#include <memory_resource>

namespace morsel {

/// Allocates in one morsel. The library makes it when the morsel is opened, on a page of the
/// process' own just behind the capacity: the pointer to it stays good after a restart, its
/// function table is never on the medium. Get it from Morsel::resource().
///
/// Errors   std::bad_alloc where morsel_malloc() returns NULL; the process ends if the program is
///          built without exceptions.
/// Threads  any.
class memory_resource : public std::pmr::memory_resource {
 public:
  /// `base` is the morsel's.
  explicit memory_resource(void* base) : base_(base) {}

 private:
  void* do_allocate(size_t bytes, size_t alignment) override;
  void do_deallocate(void* block, size_t bytes, size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override;

  void* base_;
};

}  // namespace morsel
