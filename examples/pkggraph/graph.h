// The graph of packages as it lies in a morsel: ordinary containers, nodes that point at nodes.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <morsel/morsel.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "examples/pkggraph/relation.h"

namespace pkggraph {

template <class T>
using Vector = std::vector<T, morsel::Allocator<T>>;
using String = std::basic_string<char, std::char_traits<char>, morsel::Allocator<char>>;

struct Node;

/// What stood behind the name in a relation.
enum class Qualifier : uint8_t { kNone, kAny, kArchitecture };

struct Edge {
  Node* target;
  const String* version;  ///< nullptr where every version will do.
  uint32_t clause;        ///< Alternatives of one clause of a package have the same number.
  EdgeKind kind;
  VersionOrder order;
  Qualifier qualifier;
};

/// What an index says about a package that exists. The strings are shared between packages.
struct Package {
  const String* version;
  const String* architecture;
  const String* section;  ///< nullptr if not said.
  uint64_t installed_size_kib;
  String summary;
};

/// A package, or a name that others depend on or provide.
struct Node {
  Node(std::string_view text, uint32_t position, const morsel::Allocator<char>& allocator)
      : name(text, allocator), edges(allocator), dependents(allocator), index(position) {}

  String name;
  const Package* package = nullptr;  ///< nullptr: virtual, or not in the index.
  Vector<Edge> edges;
  Vector<Node*> dependents;  ///< Each node with a dependency on this one, once.
  uint32_t index;            ///< Its place among the graph's nodes.
};

/// Stands under a root of a morsel.
///
/// Ownership  nodes, packages and strings live as long as the graph, and never move.
/// Errors     what allocates throws std::bad_alloc when the morsel is full.
/// Threads    as a std container.
class Graph {
 public:
  explicit Graph(const morsel::Morsel& morsel);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Was this graph made by a program that lays it out as this one does?
  bool HasThisLayout() const { return layout_ == Layout(); }

  /// nullptr if there is none of that name.
  const Node* Find(std::string_view name) const;
  Node* Find(std::string_view name) {
    return const_cast<Node*>(static_cast<const Graph*>(this)->Find(name));
  }
  /// The node of that name, made if there is none.
  Node& FindOrMake(std::string_view name);

  /// Says that the node is a package. Once for each node.
  void SetPackage(Node& node, std::string_view version, std::string_view architecture,
                  std::string_view section, uint64_t installed_size_kib, std::string_view summary);

  /// Adds an edge to `from`. All dependencies of a node are added before those of the next one.
  /// An edge of kind kProvides brings the one back, kProvidedBy, with it.
  void Connect(Node& from, Node& to, const Relation& relation, Qualifier qualifier);

  const std::deque<Node, morsel::Allocator<Node>>& nodes() const { return nodes_; }
  Node& node(size_t index) { return nodes_[index]; }
  size_t package_count() const { return packages_.size(); }
  uint64_t edge_count(EdgeKind kind) const { return edge_counts_[static_cast<size_t>(kind)]; }

  /// The architecture whose packages go by their plain name; others are `name:architecture`.
  const String* native_architecture = nullptr;
  /// How many packages AddSynthetic() has added.
  uint64_t synthetic_count = 0;

  /// The one string in the graph that says `text`; nullptr for an empty one.
  const String* Intern(std::string_view text);

 private:
  static uint64_t Layout();

  // libstdc++ hashes bytes with a seed that is the same in every process, so what was filed under a
  // hash by one process is found by the next. A library that seeds hashes anew in each process must
  // not be used here.
  using Hash = std::hash<std::string_view>;
  struct StringHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return Hash()(text); }
  };
  // The keys are views of the names in the nodes, which lie in the morsel too.
  using ByName = std::unordered_map<std::string_view, Node*, Hash, std::equal_to<>,
                                    morsel::Allocator<std::pair<const std::string_view, Node*>>>;
  using Strings =
      std::unordered_set<String, StringHash, std::equal_to<>, morsel::Allocator<String>>;

  uint64_t layout_ = Layout();
  morsel::Allocator<char> allocator_;
  std::deque<Node, morsel::Allocator<Node>> nodes_;
  std::deque<Package, morsel::Allocator<Package>> packages_;
  ByName by_name_;
  Strings strings_;
  std::array<uint64_t, kEdgeKinds> edge_counts_ = {};
};

}  // namespace pkggraph
