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
      });
}
