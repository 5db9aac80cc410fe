// The pool, the morsel and the graph in it, open for one command.
#pragma once

#include <functional>
#include <morsel/morsel.hpp>
#include <string>

#include "examples/pkggraph/graph.h"

namespace pkggraph {

struct Place {
  std::string pool;    ///< A directory.
  std::string morsel;  ///< Its name.
};

/// What the command may do. Only reading leaves others the right to read meanwhile.
enum class Rights { kRead, kWrite, kCreate };

/// Errors   throws Failure: kNotFound where there is no pool, morsel or graph, else kPoolFailed.
/// Threads  one, unless said otherwise.
class GraphSession {
 public:
  GraphSession(const Place& place, Rights rights);
  /// What was changed since the last checkpoint is given up.
  ~GraphSession();

  /// Errors  kNotFound where there is none yet.
  const Graph& graph() const;
  Graph& graph();

  /// An empty graph under the root, in place of the one that is there.
  Graph& Renew();

  void Checkpoint();
  /// Calls `change` in a section of the calling thread, and commits that. What `change` has done
  /// is durable on return, whole, and whatever else was ended before.
  /// Threads  any.
  void Commit(const std::function<void()>& change);
  morsel_info Stat() const;

 private:
  Graph* Root() const;

  const Place place_;
  morsel::Pool pool_;
  morsel::Morsel morsel_;  // below the pool, so that it is closed first
};

}  // namespace pkggraph
