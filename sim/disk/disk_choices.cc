#include "sim/disk/disk_choices.h"

#include <algorithm>
#include <set>

namespace morsel::sim {
namespace {

using Option = std::vector<bool>;

std::vector<Option> AllTears(size_t parts) {
  std::vector<Option> options;
  for (uint64_t lost = 0; lost < uint64_t{1} << parts; ++lost) {
    Option option(parts);
    for (size_t i = 0; i < parts; ++i) option[i] = (lost >> i & 1) == 0;
    options.push_back(std::move(option));
  }
  return options;
}

std::vector<Option> SomeTears(size_t parts, std::mt19937_64& random) {
  std::vector<Option> options = {Option(parts, true)};
  Option first_half(parts, false);
  std::fill_n(first_half.begin(), parts / 2, true);
  Option second_half = first_half;
  second_half.flip();
  Option without_first(parts, true);
  without_first.front() = false;
  Option without_last(parts, true);
  without_last.back() = false;
  Option any(parts);
  for (size_t i = 0; i < parts; ++i) any[i] = random() % 2 == 0;
  options.insert(options.end(), {first_half, second_half, without_first, without_last, any});
  options.push_back(Option(parts, false));
  return options;
}

// Whether two of its undecided changes are of the same sector.
bool HasOverlap(const Node& node) {
  std::set<uint64_t> sectors;
  for (const Change& change : node.undecided) {
    if (change.kind != Change::Kind::kData) continue;
    for (const Piece& piece : *change.pieces) {
      if (!sectors.insert(piece.offset / kSectorBytes).second) return true;
    }
  }
  return false;
}

uint64_t CountUpTo(const std::vector<Question>& questions, uint64_t max) {
  uint64_t count = 1;
  for (const Question& question : questions) {
    count *= question.options.size();
    if (count > max) break;
  }
  return count;
}

bool LosesTheNewest(const std::vector<Question>& questions, const Answers& answers) {
  bool has_newest = false;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (!questions[i].is_newest) continue;
    has_newest = true;
    if (answers[i] + 1 != questions[i].options.size()) return false;
  }
  return has_newest;
}

Answers Nothing(const std::vector<Question>& questions) {
  Answers answers;
  for (const Question& question : questions) {
    answers.push_back(question.is_order ? 0 : question.options.size() - 1);
  }
  return answers;
}

bool VisitAll(const std::vector<Question>& questions,
              const std::function<bool(const Answers&)>& visit) {
  Answers answers(questions.size(), 0);
  for (bool more = true; more;) {
    if (!LosesTheNewest(questions, answers) && !visit(answers)) return false;
    size_t at = 0;
    while (at < questions.size() && ++answers[at] == questions[at].options.size()) {
      answers[at++] = 0;
    }
    more = at < questions.size();
  }
  return true;
}

// Only one thing kept in part or whole, and only one lost in part or whole.
std::vector<Answers> Extremes(const std::vector<Question>& questions) {
  const Answers everything(questions.size(), 0);
  const Answers nothing = Nothing(questions);
  std::vector<Answers> extremes;
  for (size_t i = 0; i < questions.size(); ++i) {
    for (size_t option = 0; option < questions[i].options.size(); ++option) {
      extremes.push_back(everything);
      extremes.back()[i] = option;
      extremes.push_back(nothing);
      extremes.back()[i] = option;
    }
  }
  return extremes;
}

}  // namespace

std::vector<Question> QuestionsOf(const Disk& disk,
                                  const std::vector<std::pair<NodeId, size_t>>& newest,
                                  size_t tears_max, std::mt19937_64& random) {
  std::vector<Question> questions;
  for (const auto& [id, node] : disk.nodes()) {
    size_t first_new = node.undecided.size();
    for (const auto& [changed, count] : newest) {
      if (changed == id) first_new -= std::min(count, first_new);
    }
    for (size_t i = 0; i < node.undecided.size(); ++i) {
      const size_t parts = node.undecided[i].parts();
      questions.push_back(
          {.node = id,
           .change = i,
           .options = parts <= tears_max ? AllTears(parts) : SomeTears(parts, random),
           .is_newest = i >= first_new});
    }
    if (HasOverlap(node)) {
      questions.push_back(
          {.node = id, .change = 0, .is_order = true, .options = {Option(1), Option(1)}});
    }
  }
  return questions;
}

Disk DiskAfter(const Disk& disk, const std::vector<Question>& questions, const Answers& answers) {
  std::map<std::pair<NodeId, size_t>, const Option*> kept;
  std::map<NodeId, bool> backwards;
  for (size_t i = 0; i < questions.size(); ++i) {
    const Question& question = questions[i];
    if (question.is_order) {
      backwards[question.node] = answers[i] == 1;
    } else {
      kept[{question.node, question.change}] = &question.options[answers[i]];
    }
  }
  return disk.Decided(
      [&](NodeId id, size_t change, size_t part) {
        return (*kept.at({id, change}))[part];
      },
      backwards);
}

bool ForEachAnswers(const std::vector<Question>& questions, uint64_t images_max,
                    std::mt19937_64& random, const std::function<bool(const Answers&)>& visit) {
  if (CountUpTo(questions, images_max) <= images_max) return VisitAll(questions, visit);
  std::vector<Answers> some = Extremes(questions);
  std::shuffle(some.begin(), some.end(), random);
  const Answers everything(questions.size(), 0);
  some.insert(some.begin(), {everything, Nothing(questions)});
  uint64_t visited = 0;
  for (size_t i = 0; visited < images_max && i < 2 * images_max; ++i) {
    Answers answers = i < some.size() ? some[i] : everything;
    for (size_t at = 0; i >= some.size() && at < questions.size(); ++at) {
      answers[at] = random() % questions[at].options.size();
    }
    if (LosesTheNewest(questions, answers)) continue;
    ++visited;
    if (!visit(answers)) return false;
  }
  return true;
}

std::vector<LostCall> LostOf(const Disk& disk, const std::vector<Question>& questions,
                             const Answers& answers) {
  std::vector<LostCall> lost;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (questions[i].is_order || answers[i] == 0) continue;
    const Change& change = disk.node(questions[i].node).undecided[questions[i].change];
    lost.push_back({change.site, answers[i] + 1 != questions[i].options.size()});
  }
  return lost;
}

}  // namespace morsel::sim
