#include "examples/pkggraph/graph.h"

namespace pkggraph {

Graph::Graph(const morsel::Morsel& morsel)
    : allocator_(morsel),
      nodes_(allocator_),
      packages_(allocator_),
      by_name_(0, Hash(), std::equal_to<>(), allocator_),
      strings_(0, StringHash(), std::equal_to<>(), allocator_) {}

uint64_t Graph::Layout() {
  // Raised when a member changes its meaning but not its size.
  constexpr uint64_t kFormat = 1;
  return kFormat << 48 | uint64_t{sizeof(Graph)} << 32 | sizeof(Node) << 16 | sizeof(Package) << 8 |
         sizeof(Edge);
}

const Node* Graph::Find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

Node& Graph::FindOrMake(std::string_view name) {
  if (Node* const found = Find(name)) return *found;
  Node& made = nodes_.emplace_back(name, static_cast<uint32_t>(nodes_.size()), allocator_);
  by_name_.emplace(made.name, &made);
  return made;
}

const String* Graph::Intern(std::string_view text) {
  if (text.empty()) return nullptr;
  auto found = strings_.find(text);
  if (found == strings_.end()) found = strings_.emplace(text, allocator_).first;
  return &*found;
}

void Graph::SetPackage(Node& node, std::string_view version, std::string_view architecture,
                       std::string_view section, uint64_t installed_size_kib,
                       std::string_view summary) {
  packages_.push_back({Intern(version), Intern(architecture), Intern(section), installed_size_kib,
                       String(summary, allocator_)});
  node.package = &packages_.back();
}

void Graph::Connect(Node& from, Node& to, const Relation& relation, Qualifier qualifier) {
  const Edge edge{.target = &to,
                  .version = Intern(relation.version),
                  .clause = relation.clause,
                  .kind = relation.kind,
                  .order = relation.order,
                  .qualifier = qualifier};
  from.edges.push_back(edge);
  ++edge_counts_[static_cast<size_t>(edge.kind)];
  if (edge.kind == EdgeKind::kProvides) {
    Edge back = edge;
    back.target = &from;
    back.kind = EdgeKind::kProvidedBy;
    to.edges.push_back(back);
    ++edge_counts_[static_cast<size_t>(back.kind)];
  } else if (to.dependents.empty() || to.dependents.back() != &from) {
    to.dependents.push_back(&from);
  }
}

}  // namespace pkggraph
