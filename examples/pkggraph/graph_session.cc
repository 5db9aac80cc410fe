#include "examples/pkggraph/graph_session.h"

#include <cstdio>
#include <utility>

#include "examples/pkggraph/failure.h"

namespace pkggraph {
namespace {

constexpr const char* kRoot = "graph";

[[noreturn]] void Fail(morsel::Code code) {
  const std::string sentence = morsel::last_error();
  if (code == morsel::Code::kNotFound) {
    throw Failure(ExitCode::kNotFound, sentence + " (`pkggraph build` makes a graph)");
  }
  throw Failure(ExitCode::kPoolFailed, sentence);
}

void Check(morsel::Status status) {
  if (!status.ok()) Fail(status.code());
}

morsel::Pool OpenPool(const Place& place, Rights rights) {
  morsel::PoolOptions options;
  if (rights == Rights::kRead) options.flags = MORSEL_READ_ONLY;
  if (rights == Rights::kCreate) options.flags = MORSEL_CREATE;
  morsel::Result<morsel::Pool> pool = morsel::Pool::open(place.pool, options);
  if (!pool) Fail(pool.error());
  return *std::move(pool);
}

morsel::Morsel OpenMorsel(morsel::Pool& pool, const Place& place, Rights rights) {
  morsel::Result<morsel::Morsel> morsel =
      rights == Rights::kCreate ? morsel::Morsel::open(pool, place.morsel, {.flags = MORSEL_CREATE})
                                : morsel::Morsel::open(pool, place.morsel);
  if (!morsel) Fail(morsel.error());
  return *std::move(morsel);
}

}  // namespace

GraphSession::GraphSession(const Place& place, Rights rights)
    : place_(place), pool_(OpenPool(place, rights)), morsel_(OpenMorsel(pool_, place, rights)) {}

GraphSession::~GraphSession() {
  if (!morsel_.discard().ok()) std::fprintf(stderr, "pkggraph: %s\n", morsel::last_error());
}

Graph* GraphSession::Root() const {
  Graph* const graph = morsel_.root<Graph>(kRoot);
  if (graph != nullptr && !graph->HasThisLayout()) {
    throw Failure(ExitCode::kPoolFailed,
                  "the graph in morsel " + place_.morsel + " of " + place_.pool +
                      " was laid out by another version of this program; remove the morsel, or "
                      "name another one with --morsel");
  }
  return graph;
}

const Graph& GraphSession::graph() const {
  const Graph* const graph = Root();
  if (graph == nullptr) {
    throw Failure(ExitCode::kNotFound, "there is no graph in morsel " + place_.morsel + " of " +
                                           place_.pool + "; `pkggraph build` makes one");
  }
  return *graph;
}

Graph& GraphSession::graph() {
  return const_cast<Graph&>(static_cast<const GraphSession*>(this)->graph());
}

Graph& GraphSession::Renew() {
  // Until the next checkpoint a crash still returns to the old graph.
  morsel_.destroy(Root());
  Graph* const graph = morsel_.make<Graph>(morsel_);
  if (graph == nullptr) throw std::bad_alloc();
  Check(morsel_.set_root(kRoot, graph));
  return *graph;
}

void GraphSession::Checkpoint() { Check(morsel_.checkpoint()); }

void GraphSession::Commit(const std::function<void()>& change) {
  morsel::Update update(morsel_);
  Check(update.status());
  change();
  Check(update.commit());
}

morsel_info GraphSession::Stat() const {
  const morsel::Result<morsel_info> info = morsel_.stat();
  if (!info) Fail(info.error());
  return *info;
}

}  // namespace pkggraph
