// The standard's containers over std::pmr, by short names.
#pragma once

#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory_resource>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace morsel {

/// Those of std::pmr themselves. What Morsel::make() makes of one lies in the morsel, and so does
/// all that is put into it, at any depth: keys, elements, elements of elements. One that is made in
/// any other way, as a local variable, lies in ordinary memory, and what is put into a container
/// from it is copied there.
///
/// A struct that has them as members needs a member type allocator_type, and constructors whose
/// last parameter that is and that give it to those members: docs/guide.md has one, in Structures
/// of your own. Without them the members lie in the ordinary heap wherever the struct lies, which
/// no compiler sees. So do those inside of std::optional, std::array, T[N] and std::variant; there
/// make() and root() do not compile.
///
/// Use them under the snapshot contract only, as Allocator.
///
/// Errors   those that allocate throw a BadAlloc, a std::bad_alloc, if morsel_malloc() would return
///          NULL.
/// Threads  as the standard's.
template <class Char, class Traits = std::char_traits<Char>>
using basic_string = std::pmr::basic_string<Char, Traits>;
using string = std::pmr::string;
using u8string = std::pmr::u8string;
using u16string = std::pmr::u16string;
using u32string = std::pmr::u32string;
using wstring = std::pmr::wstring;

template <class T>
using deque = std::pmr::deque<T>;
template <class T>
using forward_list = std::pmr::forward_list<T>;
template <class T>
using list = std::pmr::list<T>;
template <class T>
using vector = std::pmr::vector<T>;

template <class Key, class T, class Less = std::less<Key>>
using map = std::pmr::map<Key, T, Less>;
template <class Key, class T, class Less = std::less<Key>>
using multimap = std::pmr::multimap<Key, T, Less>;
template <class Key, class Less = std::less<Key>>
using set = std::pmr::set<Key, Less>;
template <class Key, class Less = std::less<Key>>
using multiset = std::pmr::multiset<Key, Less>;

template <class Key, class T, class Hash = std::hash<Key>, class Equal = std::equal_to<Key>>
using unordered_map = std::pmr::unordered_map<Key, T, Hash, Equal>;
template <class Key, class T, class Hash = std::hash<Key>, class Equal = std::equal_to<Key>>
using unordered_multimap = std::pmr::unordered_multimap<Key, T, Hash, Equal>;
template <class Key, class Hash = std::hash<Key>, class Equal = std::equal_to<Key>>
using unordered_set = std::pmr::unordered_set<Key, Hash, Equal>;
template <class Key, class Hash = std::hash<Key>, class Equal = std::equal_to<Key>>
using unordered_multiset = std::pmr::unordered_multiset<Key, Hash, Equal>;

}  // namespace morsel
