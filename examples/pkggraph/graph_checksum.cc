#include "examples/pkggraph/graph_checksum.h"

#include <xxhash.h>

namespace pkggraph {
namespace {

// Chains values: each hash is the seed of the next one.
class Chain {
 public:
  void Add(uint64_t value) { hash_ = XXH3_64bits_withSeed(&value, sizeof value, hash_); }
  void Add(std::string_view text) {
    // The length keeps "ab" + "c" and "a" + "bc" apart.
    hash_ = XXH3_64bits_withSeed(text.data(), text.size(), hash_ + text.size());
  }
  void Add(const String* text) { Add(text == nullptr ? std::string_view() : *text); }
  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_ = 0;
};

void AddPackage(const Package* package, Chain& chain) {
  chain.Add(uint64_t{package != nullptr});
  if (package == nullptr) return;
  chain.Add(package->version);
  chain.Add(package->architecture);
  chain.Add(package->section);
  chain.Add(package->installed_size_kib);
  chain.Add(package->summary);
}

uint64_t ChecksumOf(const Node& node) {
  Chain chain;
  chain.Add(node.name);
  AddPackage(node.package, chain);
  chain.Add(node.edges.size());
  for (const Edge& edge : node.edges) {
    chain.Add(edge.target->name);
    chain.Add(edge.version);
    chain.Add(uint64_t{edge.clause} << 32 | static_cast<uint64_t>(edge.kind) << 16 |
              static_cast<uint64_t>(edge.order) << 8 | static_cast<uint64_t>(edge.qualifier));
  }
  chain.Add(node.dependents.size());
  for (const Node* dependent : node.dependents) chain.Add(dependent->name);
  return chain.hash();
}

}  // namespace

uint64_t Checksum(const Graph& graph) {
  uint64_t sum = 0;
  for (const Node& node : graph.nodes()) {
    // A node that its name does not lead to is not in the graph.
    if (graph.Find(node.name) == &node) sum += ChecksumOf(node);
  }
  Chain chain;
  chain.Add(sum);
  chain.Add(graph.nodes().size());
  chain.Add(graph.native_architecture);
  chain.Add(graph.synthetic_count);
  return chain.hash();
}

}  // namespace pkggraph
