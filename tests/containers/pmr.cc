#include <morsel/containers.hpp>

#include "tests/containers/family.h"

namespace {

using containers::Of;

// Strings in containers in a container.
struct Nested : morsel::unordered_map<morsel::string, morsel::vector<morsel::string>> {
  using Base = morsel::unordered_map<morsel::string, morsel::vector<morsel::string>>;
  using allocator_type = Base::allocator_type;
  using Base::Base;
  static std::string Text(int number) {
    return std::to_string(number) + " is too long for a place";
  }
  void insert(int number) { (*this)[morsel::string(Text(number))].emplace_back(Text(number)); }
  Base::const_iterator find(int number) const {
    const auto place = Base::find(morsel::string(Text(number)));
    containers::Expect(place == end() || place->second.front() == Text(number).c_str(),
                       "a nested element is another one");
    return place;
  }
  void erase(int number) { Base::erase(morsel::string(Text(number))); }
};

}  // namespace

int main(int argc, char** argv) {
  return containers::Run(argc, argv,
                         {
                             Of<morsel::vector<int>>("vector"),
                             Of<morsel::deque<int>>("deque"),
                             Of<morsel::list<int>>("list"),
                             Of<morsel::forward_list<int>>("forward_list"),
                             Of<morsel::string>("string"),
                             Of<morsel::map<int, int>>("map"),
                             Of<morsel::multimap<int, int>>("multimap"),
                             Of<morsel::set<int>>("set"),
                             Of<morsel::multiset<int>>("multiset"),
                             Of<morsel::unordered_map<int, int>>("unordered_map"),
                             Of<morsel::unordered_multimap<int, int>>("unordered_multimap"),
                             Of<morsel::unordered_set<int>>("unordered_set"),
                             Of<morsel::unordered_multiset<int>>("unordered_multiset"),
                             Of<Nested>("strings in vectors in an unordered_map"),
                         });
}
