// What may be stored in a morsel, and what is kept of the type of a root's object.
#pragma once

#include <any>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>

#include "morsel/roots.h"

namespace morsel {

/// The number that MORSEL_LAYOUT gave the layout of T.
template <class T>
inline constexpr uint32_t layout_of = 0;

namespace impl {

template <class... Ts>
struct Types {};

/// The types of what a T keeps, if it is a container, or one of the standard's that keep a few.
template <class T>
struct KeptIn {
  using Kept = Types<>;
};
template <class T>
requires requires {
  typename T::allocator_type;
  typename T::value_type;
}
struct KeptIn<T> {
  using Kept = Types<typename T::value_type>;
};
template <class T>
requires(
    requires { typename T::container_type; } &&
    !requires { typename T::allocator_type; }) struct KeptIn<T> {
  using Kept = Types<typename T::container_type>;
};
template <class First, class Second>
struct KeptIn<std::pair<First, Second>> {
  using Kept = Types<First, Second>;
};
template <class... Ts>
struct KeptIn<std::tuple<Ts...>> {
  using Kept = Types<Ts...>;
};
template <class... Ts>
struct KeptIn<std::variant<Ts...>> {
  using Kept = Types<Ts...>;
};
template <class T>
struct KeptIn<std::optional<T>> {
  using Kept = Types<T>;
};
template <class T, size_t kCount>
struct KeptIn<std::array<T, kCount>> {
  using Kept = Types<T>;
};
template <class T, size_t kCount>
struct KeptIn<T[kCount]> {
  using Kept = Types<T>;
};

/// Whether what a T keeps lies in the ordinary heap, whatever the T lies in.
template <class T>
inline constexpr bool kTakesOrdinaryMemory = false;
template <class T>
requires requires { typename T::allocator_type; }
inline constexpr bool kTakesOrdinaryMemory<T> = std::is_same_v<
    typename T::allocator_type,
    std::allocator<typename std::allocator_traits<typename T::allocator_type>::value_type>>;
template <class T>
inline constexpr bool kTakesOrdinaryMemory<std::unique_ptr<T, std::default_delete<T>>> = true;
template <class T>
inline constexpr bool kTakesOrdinaryMemory<std::shared_ptr<T>> = true;
template <class T>
inline constexpr bool kTakesOrdinaryMemory<std::weak_ptr<T>> = true;
template <class T>
inline constexpr bool kTakesOrdinaryMemory<std::function<T>> = true;
template <>
inline constexpr bool kTakesOrdinaryMemory<std::any> = true;

}  // namespace impl

/// Whether T has no virtual functions and keeps nothing in the ordinary heap as far as its type
/// says so, or MORSEL_ALLOW was said of it.
template <class T>
inline constexpr bool may_be_stored = !std::is_polymorphic_v<T> && !impl::kTakesOrdinaryMemory<T>;

namespace impl {

/// Whether a T* says nothing of what it points to.
template <class T>
inline constexpr bool kIsBytes = std::is_void_v<T> || std::is_same_v<T, char> ||
                                 std::is_same_v<T, unsigned char> || std::is_same_v<T, std::byte>;

template <class T>
constexpr void CheckHasNoVirtualFunctions() {
  if constexpr (!std::is_void_v<T>) {
    static_assert(may_be_stored<T> || !std::is_polymorphic_v<T>,
                  "T has virtual functions: its table of functions lies elsewhere in the next "
                  "process. Keep a tag and a switch, or a std::variant; MORSEL_ALLOW(T) is for "
                  "programs that mend the table themselves");
  }
}

template <class T, class... Around>
constexpr void CheckMayBeStored();

template <class... Around, class... Ts>
constexpr void CheckAllMayBeStored(Types<Ts...>) {
  (CheckMayBeStored<Ts, Around...>(), ...);
}

/// Holds T and what it keeps, at any depth, against what a morsel takes. `Around` are the types
/// that T lies in.
template <class T, class... Around>
constexpr void CheckMayBeStored() {
  using Plain = std::remove_cv_t<T>;
  if constexpr (!std::is_void_v<Plain> && (!std::is_same_v<Plain, Around> && ...)) {
    CheckHasNoVirtualFunctions<Plain>();
    static_assert(may_be_stored<Plain> || !kTakesOrdinaryMemory<Plain>,
                  "T, or what it is made of, is a type of the standard library that keeps its "
                  "memory in the ordinary heap, which is gone in the next process. Take "
                  "morsel::string, morsel::vector, morsel::map, ... of <morsel/containers.hpp>, or "
                  "give it morsel::Allocator, at every depth");
    CheckAllMayBeStored<Plain, Around...>(typename KeptIn<Plain>::Kept{});
  }
}

/// Layouts from this number on are computed from the sizes and layouts of what a container keeps.
inline constexpr uint32_t kComputedLayout = 0x80000000;

template <class T, class... Around>
constexpr uint32_t LayoutOf();

/// The layout of elements, as part of the sum of 32 bits (FNV-1a) over all of them.
template <class T, class... Around>
constexpr uint32_t AddLayout(uint32_t sum) {
  using Plain = std::remove_cv_t<T>;
  if constexpr ((std::is_same_v<Plain, Around> || ...)) {
    return sum;
  } else {
    const uint32_t layout = LayoutOf<Plain, Around...>();
    // Other types have other names when they change.
    const bool is_own =
        std::is_class_v<Plain> && std::is_same_v<typename KeptIn<Plain>::Kept, Types<>>;
    if (layout == 0 && !is_own) return sum;
    for (const uint32_t word : {is_own ? uint32_t{sizeof(Plain)} : 0, layout}) {
      sum = (sum ^ word) * 16777619;
    }
    return sum;
  }
}

template <class... Around, class... Ts>
constexpr uint32_t AddLayouts(Types<Ts...>) {
  constexpr uint32_t kNone = 2166136261;
  uint32_t sum = kNone;
  ((sum = AddLayout<Ts, Around...>(sum)), ...);
  return sum == kNone ? 0 : sum | kComputedLayout;
}

/// The number that MORSEL_LAYOUT gave T; else, of a container, one that changes with the sizes and
/// the layouts of the program's own types that it keeps, at any depth. `Around` are the types that
/// T lies in.
template <class T, class... Around>
constexpr uint32_t LayoutOf() {
  if constexpr (layout_of<T> != 0) {
    return layout_of<T>;
  } else {
    return AddLayouts<T, Around...>(typename KeptIn<T>::Kept{});
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
      type.layout = LayoutOf<Plain>();
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

/// Gives the layout of the type T a number other than 0, below 2^31. Change it when the bytes of a
/// T mean something else than before while its size is the same: root<T>() then refuses an older
/// one, and root<>() of a container an older one of such T. It stands outside of all namespaces,
/// before the first use of T with a morsel. A name with commas in it needs an alias.
#define MORSEL_LAYOUT(T, number) \
  template <>                    \
  inline constexpr uint32_t morsel::layout_of<T> = (number)

/// Lets objects of a type be stored that has virtual functions, or keeps something in the ordinary
/// heap. It is for programs that mend their tables of functions, or what it keeps, in each process.
/// It stands where MORSEL_LAYOUT does.
#define MORSEL_ALLOW(...) \
  template <>             \
  inline constexpr bool morsel::may_be_stored<__VA_ARGS__> = true
