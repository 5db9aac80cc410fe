#include "sim/model/image_choices.h"

#include <algorithm>

namespace morsel::sim {
namespace {

/// The counts of a line's stores that give different contents, all of them first.
using Counts = std::vector<size_t>;

std::vector<Counts> CountsOf(const MediumState& state, std::optional<LineNumber> newest) {
  std::vector<Counts> lines;
  for (const auto& [number, line] : state.undecided()) {
    Counts counts;
    std::vector<Line> contents;
    for (size_t count = line.stores.size() + 1; count-- > 0;) {
      Line content = line.After(count);
      if (std::find(contents.begin(), contents.end(), content) != contents.end()) continue;
      contents.push_back(content);
      counts.push_back(count);
      if (newest == number) break;
    }
    lines.push_back(std::move(counts));
  }
  return lines;
}

class Chooser {
 public:
  Chooser(std::vector<Counts> lines, const std::function<bool(const Choice&)>& visit)
      : lines_(std::move(lines)), visit_(visit) {
    for (size_t i = 0; i < lines_.size(); ++i) {
      if (lines_[i].size() > 1) open_.push_back(i);
    }
    for (const Counts& counts : lines_) newest_.push_back(counts.front());
  }

  uint64_t ImagesUpTo(uint64_t max) const {
    uint64_t images = 1;
    for (const size_t i : open_) {
      images *= lines_[i].size();
      if (images > max) break;
    }
    return images;
  }

  bool VisitAll() const {
    for (size_t lost = 0; lost <= open_.size(); ++lost) {
      Choice choice = newest_;
      if (!Lose(choice, 0, lost)) return false;
    }
    return true;
  }

  bool VisitSome(uint64_t images_max, std::mt19937_64& random) const {
    Choice nothing = newest_;
    for (const size_t i : open_) nothing[i] = lines_[i].back();
    if (!visit_(newest_) || !visit_(nothing)) return false;
    uint64_t visited = 2;
    for (const size_t i : open_) {
      if (visited + 2 > images_max) break;
      Choice all_but_one = newest_;
      all_but_one[i] = lines_[i].back();
      Choice only_one = nothing;
      only_one[i] = lines_[i].front();
      if (!visit_(all_but_one) || !visit_(only_one)) return false;
      visited += 2;
    }
    for (; visited < images_max; ++visited) {
      Choice choice = newest_;
      for (const size_t i : open_) choice[i] = lines_[i][random() % lines_[i].size()];
      if (!visit_(choice)) return false;
    }
    return true;
  }

 private:
  // Takes stores from `lost` lines of those from `first` on, in every way.
  bool Lose(Choice& choice, size_t first, size_t lost) const {
    if (lost == 0) return visit_(choice);
    for (size_t at = first; at + lost <= open_.size(); ++at) {
      const size_t line = open_[at];
      for (size_t i = 1; i < lines_[line].size(); ++i) {
        choice[line] = lines_[line][i];
        if (!Lose(choice, at + 1, lost - 1)) return false;
      }
      choice[line] = newest_[line];
    }
    return true;
  }

  std::vector<Counts> lines_;
  const std::function<bool(const Choice&)>& visit_;
  std::vector<size_t> open_;  ///< lines with more than one content
  Choice newest_;
};

}  // namespace

bool ForEachChoice(const MediumState& state, std::optional<LineNumber> newest, uint64_t images_max,
                   std::mt19937_64& random, const std::function<bool(const Choice&)>& visit) {
  const Chooser chooser(CountsOf(state, newest), visit);
  if (chooser.ImagesUpTo(images_max) <= images_max) return chooser.VisitAll();
  return chooser.VisitSome(images_max, random);
}

}  // namespace morsel::sim
