#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/containers/family.h"

namespace {

// The library makes its allocators without an argument.
template <class T>
struct Ambient : morsel::Allocator<T> {
  using value_type = T;
  template <class U>
  struct rebind {
    using other = Ambient<U>;
  };
  Ambient() : morsel::Allocator<T>(*containers::the_morsel) {}
  Ambient(const morsel::Allocator<T>& other) : morsel::Allocator<T>(other) {}  // NOLINT
  template <class U>
  Ambient(const Ambient<U>& other) : morsel::Allocator<T>(other) {}  // NOLINT: as the standard asks
};
using String = std::basic_string<char, std::char_traits<char>, Ambient<char>>;
using Json =
    nlohmann::basic_json<std::map, std::vector, String, bool, int64_t, uint64_t, double, Ambient>;

String Text(int number) { return std::to_string(number).append(" is too long for it").c_str(); }

struct Object {
  Json json = Json::object();
  void insert(int number) { json[Text(number)] = Json::array({number, Text(number)}); }
  Json::const_iterator begin() const { return json.cbegin(); }
  Json::const_iterator end() const { return json.cend(); }
  Json::const_iterator find(int number) const {
    const auto place = json.find(Text(number));
    containers::Expect(place == json.end() || place.value()[1] == Text(number),
                       "a nested element is another one");
    return place;
  }
  void erase(int number) { json.erase(Text(number)); }
  void clear() { json.clear(); }
};

struct Array {
  using value_type = int;
  Json json = Json::array();
  void push_back(int number) { json.push_back(number); }
  Json::const_iterator begin() const { return json.cbegin(); }
  Json::const_iterator end() const { return json.cend(); }
  void clear() { json.clear(); }
};

}  // namespace

int main(int argc, char** argv) {
  return containers::Run(argc, argv,
                         {containers::Of<Object>("object"), containers::Of<Array>("array")});
}
