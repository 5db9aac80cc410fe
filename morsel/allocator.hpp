// A standard allocator over a morsel, for plain containers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <memory_resource>
#include <new>
#include <type_traits>
#include <utility>

#include "morsel/construction.hpp"
#include "morsel/memory_resource.hpp"
#include "morsel/morsel.h"
#include "morsel/stored_type.hpp"

namespace morsel {

class Morsel;  // of handles.hpp

// What allocate() does when it fails differs between programs, or parts of one, that are built with
// and without exceptions. So these are two templates.
#if defined(__cpp_exceptions)
inline namespace with_exceptions {
#else
inline namespace without_exceptions {
#endif

/// An allocator as the standard requires it. It stores one pointer, the morsel's base, which is the
/// same in every process, so a container that lies in the morsel may keep its allocator.
///
/// As those of std::pmr, it stays with its container: a container that is assigned or moved to from
/// one in another morsel gets its elements one by one, in its own morsel. (To swap two of different
/// morsels is undefined, as the standard has it.) A copy that is made of a container allocates in
/// the same morsel, so that a structure with containers as members can be copied within it; where
/// that is open for reading only, the copy lies in ordinary memory.
///
/// An element that takes an allocator, be it an Allocator or one of std::pmr, gets that of the same
/// morsel unless it is given one, whatever it lies in: a container, a pair, a tuple. So does what
/// Morsel::make() makes. A class takes part as with std::pmr: it has a member type allocator_type,
/// and constructors whose last parameter that is.
///
/// Use it under the snapshot contract only. Containers move and free nodes behind the program's
/// back, and they persist nothing before they link it.
///
/// Errors   allocate() throws a BadAlloc, a std::bad_alloc, if morsel_malloc() returns NULL; in a
///          program that is built without exceptions it ends the process.
/// Threads  any, as the morsel.
template <class T>
class Allocator {
 public:
  using value_type = T;
  using propagate_on_container_copy_assignment = std::false_type;
  using propagate_on_container_move_assignment = std::false_type;
  using propagate_on_container_swap = std::false_type;
  using is_always_equal = std::false_type;

  /// Of an empty handle an allocator has no memory: allocate() throws.
  explicit Allocator(const Morsel& morsel);
  explicit Allocator(const morsel_t* morsel)
      : base_(morsel == nullptr ? reinterpret_cast<void*>(kNoMorsel) : morsel_base(morsel)) {}
  template <class U>
  Allocator(const Allocator<U>& other) : base_(other.base()) {}  // NOLINT: as the standard asks

  /// That of std::pmr for the same memory.
  template <class U>
  operator std::pmr::polymorphic_allocator<U>() const {  // NOLINT: what takes one gets it
    if (base_ == nullptr) return std::pmr::new_delete_resource();
    const morsel_t* const morsel = morsel_of(base_);
    if (morsel == nullptr) return std::pmr::null_memory_resource();  // it is closed
    return ResourceOf(base_, morsel_capacity(morsel));
  }

  T* allocate(size_t count) {
    impl::CheckMayBeStored<impl::Asks::kAllocator, T>();
    if (base_ == nullptr) return std::allocator<T>().allocate(count);
    void* block = nullptr;
    if (count <= std::numeric_limits<size_t>::max() / sizeof(T)) {
      morsel_t* const morsel = morsel_of(base_);
      if constexpr (alignof(T) > alignof(std::max_align_t)) {
        block = morsel_aligned_alloc(morsel, alignof(T), count * sizeof(T));
      } else {
        block = morsel_malloc(morsel, count * sizeof(T));
      }
    }
    if (block == nullptr) NoRoom();
    return static_cast<T*>(block);
  }
  void deallocate(T* block, size_t count) {
    if (base_ == nullptr) return std::allocator<T>().deallocate(block, count);
    morsel_free(morsel_of(base_), block);
  }

  /// For containers: constructs an element.
  template <class U, class... Arguments>
  void construct(U* place, Arguments&&... arguments) noexcept(
      construction::IsNothrow<U, Allocator, Arguments...>()) {
    impl::CheckMayBeStored<impl::Asks::kAllocator, U>();
    if constexpr (construction::kMayTake<U, Allocator, Arguments...>) {
      construction::ConstructAt<U>(place, *this, std::forward<Arguments>(arguments)...);
    } else {
      ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
  }

  /// For containers that are copied: of a container in a morsel that is open for reading only, the
  /// copy's allocator.
  Allocator select_on_container_copy_construction() const {
    const morsel_t* const morsel = base_ == nullptr ? nullptr : morsel_of(base_);
    Allocator own = *this;
    if (morsel != nullptr && morsel_is_read_only(morsel)) own.base_ = nullptr;
    return own;
  }

  /// The base address of the morsel that it allocates in; nullptr for ordinary memory.
  void* base() const { return base_; }

  template <class U>
  friend bool operator==(const Allocator& a, const Allocator<U>& b) {
    return a.base() == b.base();
  }

 private:
  [[noreturn]] static void NoRoom() {
#if defined(__cpp_exceptions)
    throw BadAlloc(morsel_last_error());
#else
    std::abort();
#endif
  }

  static constexpr uintptr_t kNoMorsel = 1;  ///< where none has its base

  void* base_;
};

}  // inline namespace
}  // namespace morsel
