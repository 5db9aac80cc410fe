// The graph of Debian's packages stored, and brought back by another process: as a morsel, through
// Boost.Serialization, and as JSON. Says how long each takes, as JSON.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "examples/pkggraph/graph.h"
#include "examples/pkggraph/graph_builder.h"
#include "examples/pkggraph/package_index.h"
#include "image/codecs/codecs.h"

namespace bench {
namespace {

/// What the graph says, for formats that know no pointers: nodes by their place among the others,
/// -1 for none.
struct FlatEdge {
  int64_t target = -1;
  std::string version;
  uint32_t clause = 0;
  int kind = 0;
  int order = 0;
  int qualifier = 0;

  NLOHMANN_DEFINE_TYPE_INTRUSIVE(FlatEdge, target, version, clause, kind, order, qualifier)
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& target& version& clause& kind& order& qualifier;
  }
};

struct FlatNode {
  std::string name;
  bool exists = false;
  std::string version;
  std::string architecture;
  std::string section;
  std::string summary;
  uint64_t installed_size_kib = 0;
  std::vector<FlatEdge> edges;
  std::vector<uint32_t> dependents;

  NLOHMANN_DEFINE_TYPE_INTRUSIVE(FlatNode, name, exists, version, architecture, section, summary,
                                 installed_size_kib, edges, dependents)
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& name& exists& version& architecture& section& summary& installed_size_kib;
    archive& edges& dependents;
  }
};

using FlatGraph = std::vector<FlatNode>;

FlatGraph Flat(const pkggraph::Graph& graph) {
  const auto text = [](const pkggraph::String* string) {
    return string == nullptr ? std::string() : std::string(*string);
  };
  FlatGraph flat;
  for (const pkggraph::Node& node : graph.nodes()) {
    FlatNode& copy = flat.emplace_back();
    copy.name = node.name;
    if (const pkggraph::Package* const package = node.package; package != nullptr) {
      copy.exists = true;
      copy.version = text(package->version);
      copy.architecture = text(package->architecture);
      copy.section = text(package->section);
      copy.summary = package->summary;
      copy.installed_size_kib = package->installed_size_kib;
    }
    for (const pkggraph::Edge& edge : node.edges) {
      copy.edges.push_back({edge.target->index, text(edge.version), edge.clause,
                            static_cast<int>(edge.kind), static_cast<int>(edge.order),
                            static_cast<int>(edge.qualifier)});
    }
    for (const pkggraph::Node* const dependent : node.dependents) {
      copy.dependents.push_back(dependent->index);
    }
  }
  return flat;
}

double SecondsOf(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

template <class T>
T Must(morsel::Result<T> result) {
  if (!result) throw std::runtime_error(morsel::last_error());
  return *std::move(result);
}
void Must(morsel::Status status) {
  if (!status.ok()) throw std::runtime_error(morsel::last_error());
}

void Sync(const std::filesystem::path& path, bool forget) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = file >= 0 && fdatasync(file) == 0;
  if (!synced || (forget && posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0)) {
    throw std::runtime_error("'" + path.string() + "' cannot be synced");
  }
  close(file);
}

/// Of all nodes and edges: what a graph says that came back whole.
uint64_t Mix(uint64_t sum, uint64_t value) { return (sum ^ value) * 0x9e3779b97f4a7c15 + 1; }

uint64_t SumOf(const pkggraph::Graph& graph) {
  uint64_t sum = 0;
  for (const pkggraph::Node& node : graph.nodes()) {
    sum = Mix(sum, node.name.size() + (node.package != nullptr ? node.package->summary.size() : 0));
    for (const pkggraph::Edge& edge : node.edges) sum = Mix(sum, edge.target->index);
    for (const pkggraph::Node* const dependent : node.dependents) sum = Mix(sum, dependent->index);
  }
  return sum;
}

uint64_t SumOf(const FlatGraph& graph) {
  uint64_t sum = 0;
  for (const FlatNode& node : graph) {
    sum = Mix(sum, node.name.size() + node.summary.size());
    for (const FlatEdge& edge : node.edges) sum = Mix(sum, static_cast<uint64_t>(edge.target));
    for (const uint32_t dependent : node.dependents) sum = Mix(sum, dependent);
  }
  return sum;
}

void Save(const FlatGraph& graph, const std::string& way, const std::filesystem::path& path) {
  std::ofstream file(path, std::ios::binary);
  if (way == "boost") {
    boost::archive::binary_oarchive(file) << graph;
  } else {
    file << nlohmann::json(graph);
  }
  file.close();
  if (!file) throw std::runtime_error("'" + path.string() + "' cannot be written");
  Sync(path, false);
}

FlatGraph Parse(const std::string& way, const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  FlatGraph graph;
  if (way == "boost") {
    boost::archive::binary_iarchive(file) >> graph;
  } else {
    graph = nlohmann::json::parse(file).get<FlatGraph>();
  }
  return graph;
}

void Print(double seconds, double walk_s, uint64_t sum, uint64_t nodes,
           const std::filesystem::path& path) {
  std::printf(
      "{\"seconds\": %.6f, \"walk_s\": %.6f, \"sum\": %lu, \"nodes\": %lu, "
      "\"file_bytes\": %lu}\n",
      seconds, walk_s, sum, nodes, std::filesystem::file_size(path));
}

/// The ways that are a morsel's image: "morsel", and "morsel-lz4" and so on for the other codecs.
const std::map<std::string, uint32_t> kCodecs = [] {
  std::map<std::string, uint32_t> ways;
  for (const morsel::image::CodecRow& codec : morsel::image::AllCodecs()) {
    const bool none = codec.id == morsel::image::Codec::kNone;
    ways[none ? "morsel" : std::string("morsel-") + codec.name] = static_cast<uint32_t>(codec.id);
  }
  return ways;
}();

void Store(const std::string& way, const std::string& folder, const std::string& index) {
  const auto codec = kCodecs.find(way);
  const bool is_image = codec != kCodecs.end();
  const std::string path = folder + (is_image ? "/pool" : "/file");
  morsel::Pool pool =
      Must(morsel::Pool::open(is_image ? path : folder + "/scratch", {.flags = MORSEL_CREATE}));
  const uint32_t of_image = is_image ? codec->second : uint32_t{MORSEL_CODEC_NONE};
  morsel::Morsel morsel =
      Must(morsel::Morsel::open(pool, "graph", {.flags = MORSEL_CREATE, .codec = of_image}));
  pkggraph::Graph* const graph = morsel.make<pkggraph::Graph>(morsel);
  Must(morsel.set_root("graph", graph));
  pkggraph::Progress progress("");
  const pkggraph::IndexText text = pkggraph::ReadIndexText(index);
  pkggraph::BuildGraph(pkggraph::ParseIndex(text), *graph, progress);
  const uint64_t sum = SumOf(*graph);
  const uint64_t nodes = graph->nodes().size();
  if (is_image) {
    const double seconds = SecondsOf([&] { Must(morsel.checkpoint()); });
    Must(morsel.close());
    Sync(path + "/graph", true);
    return Print(seconds, 0, sum, nodes, path + "/graph");
  }
  const FlatGraph flat = Flat(*graph);
  Must(morsel.discard());
  const double seconds = SecondsOf([&] { Save(flat, way, path); });
  Sync(path, true);
  Print(seconds, 0, sum, nodes, path);
}

/// Until the graph can be asked for a package by its name; then all of it is walked once.
void Load(const std::string& way, const std::string& folder) {
  uint64_t sum = 0;
  if (kCodecs.contains(way)) {
    const pkggraph::Graph* graph = nullptr;
    std::optional<morsel::Pool> pool;
    std::optional<morsel::Morsel> morsel;
    const double seconds = SecondsOf([&] {
      pool.emplace(Must(morsel::Pool::open(folder + "/pool", {.flags = MORSEL_READ_ONLY})));
      morsel.emplace(Must(morsel::Morsel::open(*pool, "graph")));
      graph = morsel->root<pkggraph::Graph>("graph");
      if (graph->Find("no such package") != nullptr) throw std::runtime_error("found");
    });
    const double walk_s = SecondsOf([&] { sum = SumOf(*graph); });
    Print(seconds, walk_s, sum, graph->nodes().size(), folder + "/pool/graph");
    return Must(morsel->discard());
  }
  FlatGraph graph;
  std::unordered_map<std::string_view, const FlatNode*> by_name;
  const double seconds = SecondsOf([&] {
    graph = Parse(way, folder + "/file");
    for (const FlatNode& node : graph) by_name.emplace(node.name, &node);
    if (by_name.count("no such package") != 0) throw std::runtime_error("found");
  });
  const double walk_s = SecondsOf([&] { sum = SumOf(graph); });
  Print(seconds, walk_s, sum, graph.size(), folder + "/file");
}

}  // namespace
}  // namespace bench

int main(int count, char** words) {
  std::string folder;
  std::string way;
  std::string index;
  bool load = false;
  std::set<std::string> ways = {"boost", "json"};
  for (const auto& [name, codec] : bench::kCodecs) ways.insert(name);
  CLI::App app{"Stores the graph of Debian's packages, or loads it"};
  app.add_option("--folder", folder, "on the disk that is meant")->required();
  app.add_option("--way", way, "of doing it")->required()->check(CLI::IsMember(ways));
  app.add_option("--index", index, "a Packages file; by default what apt knows");
  app.add_flag("--load", load, "what was stored there");
  CLI11_PARSE(app, count, words);
  try {
    load ? bench::Load(way, folder) : bench::Store(way, folder, index);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "graph_rivals: %s\n", failure.what());
    return 1;
  }
  return 0;
}
