// What may be stored in a morsel, and what is kept of the type of a root's object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <typeinfo>

#include "morsel/roots.h"

namespace morsel {

/// The number that MORSEL_LAYOUT gave the layout of T.
template <class T>
inline constexpr uint32_t layout_of = 0;

/// Whether T has no virtual functions, or MORSEL_ALLOW was said of it.
template <class T>
inline constexpr bool may_be_stored = !std::is_polymorphic_v<T>;

namespace impl {

/// Whether a T* says nothing of what it points to.
template <class T>
inline constexpr bool kIsBytes = std::is_void_v<T> || std::is_same_v<T, char> ||
                                 std::is_same_v<T, unsigned char> || std::is_same_v<T, std::byte>;

template <class T>
constexpr void CheckMayBeStored() {
  if constexpr (!std::is_void_v<T>) {
    static_assert(may_be_stored<T>,
                  "T has virtual functions: its table of functions lies elsewhere in the next "
                  "process. Keep a tag and a switch, or a std::variant; MORSEL_ALLOW(T) is for "
                  "programs that mend the table themselves");
  }
}

// Programs, or parts of one, that are built with and without RTTI know different things of a type.
#if defined(__cpp_rtti) || defined(__GXX_RTTI)
inline namespace with_rtti {
#else
inline namespace without_rtti {
#endif

/// The type of T objects as the C API takes it. Without RTTI it has no name.
template <class T>
struct StoredType {
  using Plain = std::remove_cv_t<T>;
  static constexpr void Check() { CheckMayBeStored<Plain>(); }

  StoredType() {
    if constexpr (!kIsBytes<Plain>) {
      type.struct_size = sizeof type;
      type.alignment = alignof(Plain);
      type.size = sizeof(Plain);
      type.layout = layout_of<Plain>;
#if defined(__cpp_rtti) || defined(__GXX_RTTI)
      type.flags = MORSEL_MANGLED;
      type.name = typeid(Plain).name();
#endif
    }
  }
  /// nullptr: a T* says nothing of what it points to.
  const morsel_type* get() const { return kIsBytes<Plain> ? nullptr : &type; }

  morsel_type type{};
};

}  // inline namespace
}  // namespace impl
}  // namespace morsel

/// Gives the layout of the type T a number other than 0. Change it when the bytes of a T mean
/// something else than before while its size is the same: root<T>() then refuses an older one. It
/// stands outside of all namespaces, before the first use of T with a morsel. A name with commas in
/// it needs an alias.
#define MORSEL_LAYOUT(T, number) \
  template <>                    \
  inline constexpr uint32_t morsel::layout_of<T> = (number)

/// Lets objects of a type with virtual functions be stored. It is for programs that mend their
/// tables of functions in each process. It stands where MORSEL_LAYOUT does.
#define MORSEL_ALLOW(...) \
  template <>             \
  inline constexpr bool morsel::may_be_stored<__VA_ARGS__> = true
