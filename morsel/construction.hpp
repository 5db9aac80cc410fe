// Uses-allocator construction, as the standard calls it: an object that takes an allocator gets
// that of the place where it lies, so that what it allocates lies there, too.
#pragma once

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace morsel::construction {

template <class T>
inline constexpr bool kIsPair = false;
template <class First, class Second>
inline constexpr bool kIsPair<std::pair<First, Second>> = true;

/// Whether a T can be constructed from the arguments and the allocator. It cannot if the arguments
/// have one already.
template <class T, class Alloc, class... Arguments>
constexpr bool TakesAllocator() {
  if constexpr (std::uses_allocator_v<T, Alloc>) {
    return std::is_constructible_v<T, std::allocator_arg_t, const Alloc&, Arguments...> ||
           std::is_constructible_v<T, Arguments..., const Alloc&>;
  }
  return false;
}

template <class Pair, class Alloc, class... Arguments>
auto ArgumentsOfPair(const Alloc& allocator, Arguments&&... arguments);

/// The arguments that a T is constructed from: those given, and the allocator where T takes it.
template <class T, class Alloc, class... Arguments>
auto ArgumentsOf(const Alloc& allocator, Arguments&&... arguments) {
  if constexpr (kIsPair<T>) {
    return ArgumentsOfPair<T>(allocator, std::forward<Arguments>(arguments)...);
  } else if constexpr (TakesAllocator<T, Alloc, Arguments...>()) {
    return std::uses_allocator_construction_args<T>(allocator,
                                                    std::forward<Arguments>(arguments)...);
  } else {
    return std::forward_as_tuple(std::forward<Arguments>(arguments)...);
  }
}

/// The same for one half of a pair, whose arguments are in a tuple.
template <class T, class Alloc, class Tuple>
auto ArgumentsOfHalf(const Alloc& allocator, Tuple&& given) {
  return std::apply(
      [&](auto&&... each) {
        return ArgumentsOf<T>(allocator, std::forward<decltype(each)>(each)...);
      },
      std::forward<Tuple>(given));
}

template <class Pair, class Alloc, class FirstTuple, class SecondTuple>
auto ArgumentsOfHalves(const Alloc& allocator, FirstTuple&& first, SecondTuple&& second) {
  return std::make_tuple(
      std::piecewise_construct,
      ArgumentsOfHalf<typename Pair::first_type>(allocator, std::forward<FirstTuple>(first)),
      ArgumentsOfHalf<typename Pair::second_type>(allocator, std::forward<SecondTuple>(second)));
}

/// A pair takes no allocator itself: each half may.
template <class Pair, class Alloc, class... Arguments>
auto ArgumentsOfPair(const Alloc& allocator, Arguments&&... arguments) {
  auto given = std::forward_as_tuple(std::forward<Arguments>(arguments)...);
  using Given = std::tuple<Arguments&&...>;
  if constexpr (sizeof...(Arguments) == 0) {
    return ArgumentsOfHalves<Pair>(allocator, std::tuple<>(), std::tuple<>());
  } else if constexpr (sizeof...(Arguments) == 1) {
    using Only = std::tuple_element_t<0, Given>;
    if constexpr (kIsPair<std::remove_cvref_t<Only>>) {
      Only pair = std::get<0>(std::move(given));
      return ArgumentsOfHalves<Pair>(allocator,
                                     std::forward_as_tuple(std::get<0>(std::forward<Only>(pair))),
                                     std::forward_as_tuple(std::get<1>(std::forward<Only>(pair))));
    } else {
      return given;
    }
  } else if constexpr (sizeof...(Arguments) == 2) {
    return ArgumentsOfHalves<Pair>(allocator, std::forward_as_tuple(std::get<0>(std::move(given))),
                                   std::forward_as_tuple(std::get<1>(std::move(given))));
  } else {
    return ArgumentsOfHalves<Pair>(allocator, std::get<1>(std::move(given)),
                                   std::get<2>(std::move(given)));
  }
}

/// Whether a T, or a part of the pair T, may take the allocator.
template <class T, class Alloc, class... Arguments>
inline constexpr bool kMayTake = kIsPair<T> || TakesAllocator<T, Alloc, Arguments...>();

/// Whether to construct a T throws nothing, for containers that then move their elements. What may
/// take an allocator is not asked: it need not be constructible without one.
template <class T, class Alloc, class... Arguments>
constexpr bool IsNothrow() {
  if constexpr (!kMayTake<T, Alloc, Arguments...>) {
    return std::is_nothrow_constructible_v<T, Arguments...>;
  }
  return false;
}

/// Constructs a T at `place` from ArgumentsOf() it.
template <class T, class Alloc, class... Arguments>
T* ConstructAt(void* place, const Alloc& allocator, Arguments&&... arguments) {
  return std::apply(
      [place](auto&&... each) { return ::new (place) T(std::forward<decltype(each)>(each)...); },
      ArgumentsOf<T>(allocator, std::forward<Arguments>(arguments)...));
}

}  // namespace morsel::construction
