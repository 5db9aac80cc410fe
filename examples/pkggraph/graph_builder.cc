#include "examples/pkggraph/graph_builder.h"

#include <map>
#include <string>
#include <string_view>

#include "examples/pkggraph/debian_version.h"

namespace pkggraph {
namespace {

constexpr std::string_view kAll = "all";

std::string_view MostFrequentArchitecture(const std::vector<PackageRecord>& records) {
  std::map<std::string_view, size_t> counts;
  for (const PackageRecord& record : records) {
    if (record.architecture != kAll) ++counts[record.architecture];
  }
  std::string_view most;
  for (const auto& [architecture, count] : counts) {
    if (most.empty() || count > counts[most]) most = architecture;
  }
  return most;
}

class Builder {
 public:
  Builder(const std::vector<PackageRecord>& records, Graph& graph, Progress& progress)
      : records_(records),
        graph_(graph),
        progress_(progress),
        native_(MostFrequentArchitecture(records)) {}

  void Build() {
    graph_.native_architecture = graph_.Intern(native_);
    ChooseLatest();
    // Names that are provided must be there before dependencies look for them.
    for (const PackageRecord* record : latest_) ConnectAll(*record, true);
    for (const PackageRecord* record : latest_) ConnectAll(*record, false);
  }

 private:
  void ChooseLatest() {
    for (const PackageRecord& record : records_) {
      const Node& node = graph_.FindOrMake(NameFor(record.name, record.architecture));
      if (node.index == latest_.size()) {
        latest_.push_back(&record);
      } else if (CompareVersions(latest_[node.index]->version, record.version) < 0) {
        latest_[node.index] = &record;
      }
    }
    for (size_t i = 0; i < latest_.size(); ++i) {
      const PackageRecord& record = *latest_[i];
      graph_.SetPackage(graph_.node(i), record.version, record.architecture, record.section,
                        record.installed_size_kib, record.summary);
    }
  }

  void ConnectAll(const PackageRecord& record, bool provides) {
    Node& from = *graph_.Find(NameFor(record.name, record.architecture));
    // Once, and to the edge, so that the morsel holds no slack.
    if (!provides) from.edges.reserve(from.edges.size() + DependencyCount(record));
    for (const Relation& relation : record.relations) {
      if ((relation.kind == EdgeKind::kProvides) != provides) continue;
      graph_.Connect(from, TargetOf(record, relation), relation, QualifierOf(relation));
    }
    progress_.Update(++connected_, 2 * latest_.size());
  }

  static size_t DependencyCount(const PackageRecord& record) {
    size_t count = 0;
    for (const Relation& relation : record.relations) {
      count += relation.kind != EdgeKind::kProvides;
    }
    return count;
  }

  Node& TargetOf(const PackageRecord& record, const Relation& relation) {
    if (QualifierOf(relation) == Qualifier::kArchitecture) {
      return graph_.FindOrMake(NameFor(relation.name, relation.qualifier));
    }
    if (relation.qualifier.empty()) {
      const std::string_view own = NameFor(relation.name, record.architecture);
      if (relation.kind == EdgeKind::kProvides) return graph_.FindOrMake(own);
      if (Node* const found = graph_.Find(own)) return *found;
    }
    return graph_.FindOrMake(relation.name);
  }

  static Qualifier QualifierOf(const Relation& relation) {
    if (relation.qualifier.empty()) return Qualifier::kNone;
    return relation.qualifier == "any" ? Qualifier::kAny : Qualifier::kArchitecture;
  }

  // Valid until the next call.
  std::string_view NameFor(std::string_view name, std::string_view architecture) {
    if (architecture == native_ || architecture == kAll) return name;
    name_.assign(name).append(":").append(architecture);
    return name_;
  }

  const std::vector<PackageRecord>& records_;
  Graph& graph_;
  Progress& progress_;
  const std::string_view native_;
  std::vector<const PackageRecord*> latest_;  // by node
  size_t connected_ = 0;
  std::string name_;
};

}  // namespace

void BuildGraph(const std::vector<PackageRecord>& records, Graph& graph, Progress& progress) {
  Builder(records, graph, progress).Build();
}

}  // namespace pkggraph
