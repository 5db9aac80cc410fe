// A std::pmr::memory_resource over a morsel.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>

namespace morsel {

/// The std::bad_alloc of what allocates in a morsel. what() is the message of the failure.
class BadAlloc : public std::bad_alloc {
 public:
  explicit BadAlloc(const char* message) {
    std::strncpy(text_, message, sizeof text_ - 1);
    text_[sizeof text_ - 1] = '\0';
  }
  const char* what() const noexcept override { return text_; }

 private:
  char text_[256];
};

/// Allocates in one morsel; Morsel::resource() returns it. The library makes one each time that a
/// process opens the morsel, always at the same address: on a private page just behind the
/// capacity. So a pointer to it stays good after a restart, and its function table, which is the
/// process' own, is never on the medium.
///
/// Ownership  the library's: it lives while the process has the morsel open.
/// Errors     throws a BadAlloc if morsel_malloc() would return NULL; in a program that is built
///            without exceptions this ends the process.
/// Threads    any.
class memory_resource : public std::pmr::memory_resource {
 public:
  /// For the library: the resource of the open morsel at `base`.
  explicit memory_resource(void* base) : base_(base) {}

 private:
  void* do_allocate(size_t bytes, size_t alignment) override;
  void do_deallocate(void* block, size_t bytes, size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override;

  void* base_;
};

/// The resource of the open morsel at `base`.
inline memory_resource* ResourceOf(void* base, uint64_t capacity_bytes) {
  return reinterpret_cast<memory_resource*>(static_cast<char*>(base) + capacity_bytes);
}

}  // namespace morsel
