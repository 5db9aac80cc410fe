#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/containers/family.h"

namespace {

using containers::Of;
template <class T>
using A = morsel::Allocator<T>;
using Pair = std::pair<const int, int>;

// A set of pointers to numbers that the same morsel has.
template <class Set>
struct OfPointers : Set {
  using allocator_type = A<int>;
  std::deque<int, A<int>> numbers;
  explicit OfPointers(const A<int>& allocator) : Set(allocator), numbers(allocator) {}
  const int* Place(int number) const {
    return static_cast<size_t>(number) < numbers.size() ? &numbers[number] : nullptr;
  }
  void put(int number) {
    if (Place(number) == nullptr) numbers.push_back(number);
    Set::insert(Place(number));
  }
  typename Set::const_iterator find(int number) const {
    const auto place = Set::find(Place(number));
    containers::Expect(place == Set::end() || **place == number, "a pointer leads elsewhere");
    return place;
  }
  void erase(int number) { Set::erase(Place(number)); }
};
using Sorted = std::set<const int*, std::less<>, A<const int*>>;
using Hashed =
    std::unordered_set<const int*, std::hash<const int*>, std::equal_to<>, A<const int*>>;

}  // namespace

int main(int argc, char** argv) {
  return containers::Run(
      argc, argv,
      {
          Of<std::vector<int, A<int>>>("vector"),
          Of<std::deque<int, A<int>>>("deque"),
          Of<std::list<int, A<int>>>("list"),
          Of<std::forward_list<int, A<int>>>("forward_list"),
          Of<std::basic_string<char, std::char_traits<char>, A<char>>>("string"),
          Of<std::map<int, int, std::less<>, A<Pair>>>("map, multimap"),
          Of<std::set<int, std::less<>, A<int>>>("set, multiset"),
          Of<std::unordered_map<int, int, std::hash<int>, std::equal_to<>, A<Pair>>>(
              "unordered_map, unordered_multimap"),
          Of<std::unordered_set<int, std::hash<int>, std::equal_to<>, A<int>>>(
              "unordered_set, unordered_multiset"),
          Of<OfPointers<Sorted>>("set of pointers"),
          Of<OfPointers<Hashed>>("unordered_set of pointers"),
      });
}
