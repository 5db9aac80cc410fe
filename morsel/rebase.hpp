// Where the pointers are in types of one's own, and morsels at another address. rebase.h has the
// contracts.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "base/result.h"
#include "morsel/handles.hpp"
#include "morsel/morsel.h"
#include "morsel/stored_type.hpp"

// X11, for one, makes this word a macro.
#pragma push_macro("Status")
#undef Status

namespace morsel {

/// Says where the pointers are in a T, for rebase<T>(): a program specializes it with a member
/// `offsets`, an array of size_t.
///
///   struct Node { uint64_t key; Node* next; };
///   template <>
///   struct morsel::Pointers<Node> {
///     static constexpr size_t offsets[] = {offsetof(Node, next)};
///   };
template <class T>
struct Pointers;

/// Gives the morsel another address or capacity, as morsel_rebase() does. In objects of the types
/// Known, where roots lead to them, exactly the words that Pointers<> names are changed.
template <class... Known>
Result<morsel_rebase_info> rebase(Pool& pool, const std::string& name,
                                  morsel_rebase_options options = {}) {
  const std::array<morsel_type, sizeof...(Known)> types = {impl::StoredType<Known>().type...};
  const std::array<size_t, sizeof...(Known)> counts = {std::size(Pointers<Known>::offsets)...};
  const std::array<const size_t*, sizeof...(Known)> offsets = {Pointers<Known>::offsets...};
  std::array<morsel_pointers, sizeof...(Known)> pointers{};
  std::array<const morsel_pointers*, sizeof...(Known)> places{};
  for (size_t i = 0; i < sizeof...(Known); ++i) {
    pointers[i] = {sizeof(morsel_pointers), 0, &types[i], offsets[i], counts[i]};
    places[i] = &pointers[i];
  }
  options.struct_size = sizeof options;
  options.pointers = places.data();
  options.pointers_count = places.size();
  morsel_rebase_info info{};
  info.struct_size = sizeof info;
  const morsel_code code = morsel_rebase(pool.handle(), name.c_str(), &options, &info);
  if (code != MORSEL_OK) return Code(code);
  return info;
}

}  // namespace morsel

#pragma pop_macro("Status")
