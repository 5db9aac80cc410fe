// What is kept of the type of a root's object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <typeinfo>

#include "morsel/may_be_stored.hpp"
#include "morsel/roots.h"

namespace morsel {

/// The number that MORSEL_LAYOUT gave the layout of T.
template <class T>
inline constexpr uint32_t layout_of = 0;

namespace impl {

/// Whether a T* says nothing of what it points to.
template <class T>
inline constexpr bool kIsBytes = std::is_void_v<T> || std::is_same_v<T, char> ||
                                 std::is_same_v<T, unsigned char> || std::is_same_v<T, std::byte>;

/// Layouts from this number on are computed: those of containers.
inline constexpr uint32_t kComputedLayout = 0x80000000;

template <class T, class... Around>
constexpr uint32_t LayoutOf();

/// What is known of the layout of elements, as part of the sum of 32 bits (FNV-1a) over all of
/// them.
template <class T, class... Around>
constexpr uint32_t AddLayout(uint32_t sum) {
  using Plain = std::remove_cv_t<T>;
  if constexpr (std::is_void_v<Plain> || (std::is_same_v<Plain, Around> || ...)) {
    return sum;
  } else {
    for (const uint32_t word :
         {static_cast<uint32_t>(sizeof(Plain)), static_cast<uint32_t>(alignof(Plain)),
          LayoutOf<Plain, Around...>()}) {
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

/// The number that MORSEL_LAYOUT gave T; else, of a container, one that changes with the sizes, the
/// alignments and the layouts of what it keeps, at any depth. `Around` are the types that T lies
/// in.
template <class T, class... Around>
constexpr uint32_t LayoutOf() {
  if constexpr (layout_of<T> != 0) {
    return layout_of<T>;
  } else {
    return AddLayouts<T, Around...>(typename KeptIn<T>::Kept{});
  }
}

template <long long kNumber>
constexpr uint32_t LayoutNumber() {
  static_assert(kNumber > 0 && kNumber < kComputedLayout,
                "MORSEL_LAYOUT gives a number from 1 to 2^31 - 1: 0 is that of a type without it, "
                "and greater ones are computed");
  return static_cast<uint32_t>(kNumber);
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
  static constexpr void Check() { CheckMayBeStored<Asks::kProgram, Plain>(); }

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

/// Gives the layout of the type T a number from 1 to 2^31 - 1. Change it when the bytes of a
/// T mean something else than before while its size is the same: root<T>() then refuses an older
/// one, and root<>() of a container an older one of such T. It stands outside of all namespaces,
/// before the first use of T with a morsel. A name with commas in it needs an alias.
#define MORSEL_LAYOUT(T, number) \
  template <>                    \
  inline constexpr uint32_t morsel::layout_of<T> = morsel::impl::LayoutNumber<(number)>()
