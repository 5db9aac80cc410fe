// Which of the disks that a power cut may leave are looked at.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "sim/disk/disk.h"

namespace morsel::sim {

/// One thing that a power cut decides, and the ways in which it may.
struct Question {
  NodeId node;
  size_t change;
  bool is_order = false;  ///< of the node's data: option 0 as it was written, 1 backwards
  /// For each part of the change whether it is kept. The first: all of it; the last: nothing.
  std::vector<std::vector<bool>> options;
  bool is_newest = false;  ///< of the last call
};

/// An option for each question.
using Answers = std::vector<size_t>;

/// `newest`: how many of each node's changes, the last, are of the last call. Up to `tears_max`
/// parts of one change are lost and kept in every way, more in some ways.
std::vector<Question> QuestionsOf(const Disk& disk,
                                  const std::vector<std::pair<NodeId, size_t>>& newest,
                                  size_t tears_max, std::mt19937_64& random);

Disk DiskAfter(const Disk& disk, const std::vector<Question>& questions, const Answers& answers);

/// Calls `visit` with answers until it says false; says whether it never did. All answers if they
/// are no more than images_max, else everything, nothing, only one, all but one, and a sample as
/// `random` decides. Where something is newest, only those in which not all of that is lost: the
/// others were possible before.
bool ForEachAnswers(const std::vector<Question>& questions, uint64_t images_max,
                    std::mt19937_64& random, const std::function<bool(const Answers&)>& visit);

/// What is lost, in words, with who wrote it.
struct LostCall {
  std::shared_ptr<const CallSite> site;
  bool is_torn = false;
};
std::vector<LostCall> LostOf(const Disk& disk, const std::vector<Question>& questions,
                             const Answers& answers);

/// The same, of what `keep(node, change, part)` is false for.
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
