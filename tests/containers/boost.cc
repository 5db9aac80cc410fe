#include <boost/container/deque.hpp>
#include <boost/container/flat_map.hpp>
#include <boost/container/flat_set.hpp>
#include <boost/container/list.hpp>
#include <boost/container/map.hpp>
#include <boost/container/set.hpp>
#include <boost/container/slist.hpp>
#include <boost/container/stable_vector.hpp>
#include <boost/container/string.hpp>
#include <boost/container/vector.hpp>
#include <boost/multi_index/hashed_index.hpp>
#include <boost/multi_index/identity.hpp>
#include <boost/multi_index/ordered_index.hpp>
#include <boost/multi_index/sequenced_index.hpp>
#include <boost/multi_index_container.hpp>
#include <boost/unordered_map.hpp>
#include <boost/unordered_set.hpp>

#include "tests/containers/family.h"

namespace {

namespace bc = boost::container;
namespace mi = boost::multi_index;
using containers::Of;
template <class T>
using A = morsel::Allocator<T>;
using Pair = std::pair<const int, int>;
using Ordered = mi::ordered_unique<mi::identity<int>>;
using Hashed = mi::hashed_unique<mi::identity<int>>;

}  // namespace

int main(int argc, char** argv) {
  return containers::Run(
      argc, argv,
      {
          Of<bc::vector<int, A<int>>>("Container: vector"),
          Of<bc::stable_vector<int, A<int>>>("Container: stable_vector"),
          Of<bc::deque<int, A<int>>>("Container: deque"),
          Of<bc::list<int, A<int>>>("Container: list"),
          Of<bc::slist<int, A<int>>>("Container: slist"),
          Of<bc::basic_string<char, std::char_traits<char>, A<char>>>("Container: string"),
          Of<bc::map<int, int, std::less<>, A<Pair>>>("Container: map"),
          Of<bc::set<int, std::less<>, A<int>>>("Container: set"),
          Of<bc::flat_map<int, int, std::less<>, A<std::pair<int, int>>>>("Container: flat_map"),
          Of<bc::flat_set<int, std::less<>, A<int>>>("Container: flat_set"),
          Of<boost::unordered_map<int, int, boost::hash<int>, std::equal_to<>, A<Pair>>>(
              "Unordered: unordered_map"),
          Of<boost::unordered_set<int, boost::hash<int>, std::equal_to<>, A<int>>>(
              "Unordered: unordered_set"),
          Of<mi::multi_index_container<int, mi::indexed_by<Ordered>, A<int>>>(
              "MultiIndex: ordered"),
          Of<mi::multi_index_container<int, mi::indexed_by<Hashed>, A<int>>>("MultiIndex: hashed"),
          Of<mi::multi_index_container<int, mi::indexed_by<Ordered, Hashed, mi::sequenced<>>,
                                       A<int>>>("MultiIndex: ordered, hashed and sequenced"),
      });
}
