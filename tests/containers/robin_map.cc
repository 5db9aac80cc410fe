#include <tsl/robin_map.h>
#include <tsl/robin_set.h>

#include "tests/containers/family.h"

namespace {

using containers::Of;
template <class T>
using A = morsel::Allocator<T>;
using Hash = std::hash<int>;
using Equal = std::equal_to<>;

}  // namespace

int main(int argc, char** argv) {
  return containers::Run(
      argc, argv,
      {
          Of<tsl::robin_map<int, int, Hash, Equal, A<std::pair<int, int>>>>("robin_map"),
          Of<tsl::robin_set<int, Hash, Equal, A<int>>>("robin_set"),
      });
}
