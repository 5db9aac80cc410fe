// Chooses which of the disks that a power cut may leave are tried.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "sim/disk/disk.h"

namespace morsel::sim {

/// One thing that a power cut decides, and the ways in which it may decide it.
struct Question {
  NodeId node;
  size_t change;
  bool is_order = false;  ///< the order of the node's data; option 0: as written, 1: backwards
  /// Which parts of the change each option keeps. The first option keeps all, the last nothing.
  std::vector<std::vector<bool>> options;
  bool is_newest = false;  ///< of the last call
};

/// The chosen option of each question.
using Answers = std::vector<size_t>;

/// `newest`: how many of each node's changes, counted from the last, the last call made. A change
/// of up to `tears_max` parts is torn in every way, a longer one in some ways.
std::vector<Question> QuestionsOf(const Disk& disk,
                                  const std::vector<std::pair<NodeId, size_t>>& newest,
                                  size_t tears_max, std::mt19937_64& random);

Disk DiskAfter(const Disk& disk, const std::vector<Question>& questions, const Answers& answers);

/// Calls `visit` with answers until it returns false. Returns whether it never did. Visits all
/// answers if there are at most images_max. Else it visits those that keep everything, nothing,
/// only one change or all but one, and a random sample. Where something is newest, it skips answers
/// that lose all of that: they were possible before.
bool ForEachAnswers(const std::vector<Question>& questions, uint64_t images_max,
                    std::mt19937_64& random, const std::function<bool(const Answers&)>& visit);

/// A call of which something is lost.
struct LostCall {
  std::shared_ptr<const CallSite> site;
  bool is_torn = false;
};
std::vector<LostCall> LostOf(const Disk& disk, const std::vector<Question>& questions,
                             const Answers& answers);

/// The calls of the parts for which `keep(node, change, part)` is false.
template <class Keep>
std::vector<LostCall> LostWhereNot(const Disk& disk, Keep keep) {
  std::vector<LostCall> lost;
  for (const auto& [id, node] : disk.nodes()) {
    for (size_t i = 0; i < node.undecided.size(); ++i) {
      const size_t parts = node.undecided[i].parts();
      size_t kept = 0;
      for (size_t part = 0; part < parts; ++part) kept += keep(id, i, part);
      if (kept < parts) lost.push_back({node.undecided[i].site, kept > 0});
    }
  }
  return lost;
}

}  // namespace morsel::sim
