// The graph in a real morsel: what is built, asked, and found again.
#include "examples/pkggraph/graph.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "examples/pkggraph/graph_builder.h"
#include "examples/pkggraph/graph_checksum.h"
#include "examples/pkggraph/package_index.h"
#include "examples/pkggraph/queries.h"
#include "examples/pkggraph/synthetic.h"

namespace pkggraph {
namespace {

std::string Stanza(const std::string& name, const std::string& fields,
                   const std::string& version = "1", const std::string& architecture = "amd64") {
  return "Package: " + name + "\nVersion: " + version + "\nArchitecture: " + architecture + "\n" +
         fields + "\n";
}

const std::string kIndex =
    Stanza("editor", "Depends: libc (>= 2), speller | dictionary, mailer\n") +
    Stanza("libc", "Pre-Depends: base:any\n") + Stanza("dictionary", "Depends: base\n") +
    Stanza("postman", "Provides: mailer (= 3)\nDepends: stamps\n") + Stanza("base", "") +
    Stanza("lonely", "");

class GraphTest : public ::testing::Test {
 protected:
  GraphTest() {
    std::string pattern = ::testing::TempDir() + "/pkggraph_XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  ~GraphTest() override { std::filesystem::remove_all(directory_); }

  morsel::Pool OpenPool() {
    auto pool = morsel::Pool::open(directory_ / "pool", {.flags = MORSEL_CREATE});
    EXPECT_TRUE(pool) << morsel::last_error();
    return *std::move(pool);
  }
  morsel::Morsel OpenMorsel(morsel::Pool& pool, const std::string& name) {
    auto morsel = morsel::Morsel::open(pool, name, {.flags = MORSEL_CREATE});
    EXPECT_TRUE(morsel) << morsel::last_error();
    return *std::move(morsel);
  }
  static Graph& MakeGraph(morsel::Morsel& morsel, const std::string& text) {
    Graph* const graph = morsel.make<Graph>(morsel);
    EXPECT_TRUE(morsel.set_root("graph", graph).ok()) << morsel::last_error();
    const IndexText index = {"test", text};
    Progress progress("");
    BuildGraph(ParseIndex(index), *graph, progress);
    return *graph;
  }
  // "Depends libc, Provided-By postman"
  static std::string Path(const Graph& graph, const char* from, const char* to) {
    const auto path = ShortestPath(graph, *graph.Find(from), *graph.Find(to));
    if (!path) return "none";
    std::string text;
    for (const Step& step : *path) {
      text += (text.empty() ? "" : ", ") + std::string(EdgeKindName(step.edge->kind)) + " " +
              step.edge->target->name.c_str();
    }
    return text;
  }

  std::filesystem::path directory_;
};

TEST_F(GraphTest, NodesAndEdges) {
  morsel::Pool pool = OpenPool();
  morsel::Morsel morsel = OpenMorsel(pool, "m");
  const Graph& graph = MakeGraph(morsel, kIndex);
  EXPECT_EQ(graph.nodes().size(), 9u);
  EXPECT_EQ(graph.package_count(), 6u);
  EXPECT_EQ(graph.edge_count(EdgeKind::kDepends), 4u);
  EXPECT_EQ(graph.edge_count(EdgeKind::kPreDepends), 1u);
  EXPECT_EQ(graph.edge_count(EdgeKind::kAlternative), 2u);
  EXPECT_EQ(graph.edge_count(EdgeKind::kProvides), 1u);
  EXPECT_EQ(graph.Find("speller")->package, nullptr);
  EXPECT_EQ(graph.Find("nobody"), nullptr);
  const Node& editor = *graph.Find("editor");
  ASSERT_EQ(editor.edges.size(), 4u);
  EXPECT_EQ(editor.edges[0].target, graph.Find("libc"));
  EXPECT_EQ(*editor.edges[0].version, "2");
  EXPECT_EQ(editor.edges[0].order, VersionOrder::kLaterOrEqual);
  EXPECT_EQ(editor.edges[1].clause, editor.edges[2].clause);
  EXPECT_EQ(graph.Find("libc")->edges[0].qualifier, Qualifier::kAny);
}

TEST_F(GraphTest, ShortestPaths) {
  morsel::Pool pool = OpenPool();
  morsel::Morsel morsel = OpenMorsel(pool, "m");
  const Graph& graph = MakeGraph(morsel, kIndex);
  EXPECT_EQ(Path(graph, "editor", "base"), "Depends libc, Pre-Depends base");
  EXPECT_EQ(Path(graph, "editor", "speller"), "Depends-Alternative speller");
  EXPECT_EQ(Path(graph, "editor", "stamps"), "Depends mailer, Provided-By postman, Depends stamps");
  EXPECT_EQ(Path(graph, "editor", "editor"), "");
  EXPECT_EQ(Path(graph, "base", "editor"), "none");
  EXPECT_EQ(Path(graph, "postman", "mailer"), "none");
}

TEST_F(GraphTest, WhatDependsOnWhat) {
  morsel::Pool pool = OpenPool();
  morsel::Morsel morsel = OpenMorsel(pool, "m");
  const Graph& graph = MakeGraph(
      morsel, kIndex + Stanza("again", "Depends: base (>= 1), base (<< 2), lonely | base\n"));
  const auto steps = ReverseDependencies(*graph.Find("base"));
  std::string text;
  for (const Step& step : steps) {
    text += std::string(step.from->name) + " " + EdgeKindName(step.edge->kind) + "; ";
  }
  EXPECT_EQ(text,
            "again Depends; again Depends; again Depends-Alternative; dictionary Depends; "
            "libc Pre-Depends; ");
  EXPECT_TRUE(ReverseDependencies(*graph.Find("editor")).empty());
  const auto top = MostDependedUpon(graph, 3);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0]->name, "base");
  EXPECT_EQ(top[0]->dependents.size(), 3u);
  EXPECT_EQ(top[1]->name, "dictionary");
  EXPECT_EQ(MostDependedUpon(graph, 1000).size(), graph.nodes().size());
}

TEST_F(GraphTest, TheLatestVersionCounts) {
  morsel::Pool pool = OpenPool();
  morsel::Morsel morsel = OpenMorsel(pool, "m");
  const Graph& graph = MakeGraph(morsel, Stanza("a", "Depends: old\n", "1.9") +
                                             Stanza("a", "Depends: new\n", "1.10") +
                                             Stanza("a", "Depends: rc\n", "1.10~rc1", "all"));
  EXPECT_EQ(graph.package_count(), 1u);
  EXPECT_EQ(*graph.Find("a")->package->version, "1.10");
  EXPECT_EQ(Path(graph, "a", "new"), "Depends new");
  EXPECT_EQ(graph.Find("old"), nullptr);
}

TEST_F(GraphTest, ForeignArchitecturesAreNodesOfTheirOwn) {
  morsel::Pool pool = OpenPool();
  morsel::Morsel morsel = OpenMorsel(pool, "m");
  const Graph& graph =
      MakeGraph(morsel, Stanza("libc", "") + Stanza("data", "", "1", "all") + Stanza("shell", "") +
                            Stanza("libc", "", "9", "i386") +
                            Stanza("game", "Depends: libc, data, shell:any, joy\n", "1", "i386") +
                            Stanza("stick", "Provides: joy\n", "1", "i386") +
                            Stanza("wine", "Depends: game:i386, libc:amd64\n"));
  EXPECT_EQ(*graph.native_architecture, "amd64");
  EXPECT_EQ(*graph.Find("libc")->package->version, "1");
  EXPECT_EQ(Path(graph, "game:i386", "libc:i386"), "Depends libc:i386");
  EXPECT_EQ(Path(graph, "game:i386", "data"), "Depends data");
  EXPECT_EQ(Path(graph, "game:i386", "shell"), "Depends shell");
  EXPECT_EQ(Path(graph, "game:i386", "stick:i386"), "Depends joy:i386, Provided-By stick:i386");
  EXPECT_EQ(Path(graph, "wine", "libc"), "Depends libc");
  EXPECT_EQ(Path(graph, "wine", "libc:i386"), "Depends game:i386, Depends libc:i386");
}

TEST_F(GraphTest, TheChecksumIsOfTheContentNotOfThePlace) {
  morsel::Pool pool = OpenPool();
  morsel::Morsel one = OpenMorsel(pool, "one");
  morsel::Morsel two = OpenMorsel(pool, "two");
  ASSERT_NE(one.base(), two.base());
  (void)two.malloc(1000);
  Graph& a = MakeGraph(one, kIndex);
  Graph& b = MakeGraph(two, kIndex);
  EXPECT_EQ(Checksum(a), Checksum(b));
  AddSynthetic(a);
  EXPECT_NE(Checksum(a), Checksum(b));
  AddSynthetic(b);
  EXPECT_EQ(Checksum(a), Checksum(b));
  // An edge that leads elsewhere is seen.
  a.node(0).edges[0].target = &a.node(5);
  EXPECT_NE(Checksum(a), Checksum(b));
}

TEST_F(GraphTest, IsFoundAgainAsItWasAtTheCheckpoint) {
  uint64_t checksum = 0;
  const void* base = nullptr;
  {
    morsel::Pool pool = OpenPool();
    morsel::Morsel morsel = OpenMorsel(pool, "m");
    Graph& graph = MakeGraph(morsel, kIndex);
    for (int i = 0; i < 1000; ++i) AddSynthetic(graph);
    checksum = Checksum(graph);
    base = morsel.base();
    ASSERT_TRUE(morsel.checkpoint().ok()) << morsel::last_error();
    AddSynthetic(graph);
    EXPECT_NE(Checksum(graph), checksum);
    ASSERT_TRUE(morsel.discard().ok()) << morsel::last_error();
  }
  morsel::Pool pool = OpenPool();
  morsel::Morsel morsel = OpenMorsel(pool, "m");
  EXPECT_EQ(morsel.base(), base);
  Graph& graph = *morsel.root<Graph>("graph");
  EXPECT_TRUE(graph.HasThisLayout());
  EXPECT_EQ(Checksum(graph), checksum);
  EXPECT_EQ(Path(graph, "editor", "base"), "Depends libc, Pre-Depends base");
  // Containers of another process can be changed and destroyed.
  for (int i = 0; i < 1000; ++i) AddSynthetic(graph);
  EXPECT_EQ(graph.synthetic_count, 2000u);
  ASSERT_TRUE(morsel.set_root("graph", nullptr).ok()) << morsel::last_error();
  morsel.destroy(&graph);
  EXPECT_EQ(morsel.stat()->live_bytes, 0u);
}

}  // namespace
}  // namespace pkggraph
