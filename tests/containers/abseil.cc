#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>
#include <absl/container/node_hash_map.h>

#include "tests/containers/family.h"

namespace {

using containers::Of;
template <class T>
using A = morsel::Allocator<T>;
using Pair = std::pair<const int, int>;
// Abseil's own is seeded by an address of the process.
using Hash = std::hash<int>;
using Equal = std::equal_to<>;

}  // namespace

int main(int argc, char** argv) {
  return containers::Run(
      argc, argv,
      {
          Of<absl::flat_hash_map<int, int, absl::Hash<int>, Equal, A<Pair>>>("flat_hash_map"),
          Of<absl::flat_hash_map<int, int, Hash, Equal, A<Pair>>>("flat_hash_map by std::hash"),
          Of<absl::flat_hash_set<int, absl::Hash<int>, Equal, A<int>>>("flat_hash_set"),
          Of<absl::node_hash_map<int, int, absl::Hash<int>, Equal, A<Pair>>>("node_hash_map"),
          Of<absl::btree_map<int, int, std::less<>, A<Pair>>>("btree_map"),
          Of<absl::btree_set<int, std::less<>, A<int>>>("btree_set"),
          Of<absl::InlinedVector<int, 4, A<int>>>("InlinedVector"),
      });
}
