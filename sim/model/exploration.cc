#include "sim/model/exploration.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <utility>

namespace morsel::sim {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSecondsToMinimise = 20;
constexpr double kSecondsForOne = 4;

std::chrono::milliseconds Milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

// The next step from an effort to the most.
Effort More(const Effort& effort, const Effort& most) {
  return {.images_max = std::min(8 * effort.images_max, most.images_max),
          .later_images_max = std::min(2 * effort.later_images_max, most.later_images_max),
          .crash_again_one_in = std::max(effort.crash_again_one_in / 2, most.crash_again_one_in),
          .faulted_images_max = std::min(4 * effort.faulted_images_max, most.faulted_images_max),
          .covered_max = most.covered_max,
          .covered_crashes = most.covered_crashes,
          .go_on_one_in = std::max(effort.go_on_one_in / 2, most.go_on_one_in)};
}

}  // namespace

Options FromEnvironment(const Options& quick, const std::optional<Effort>& most) {
  Options options = quick;
  options.most = options.effort;
  if (const char* const seconds = std::getenv("MORSEL_PROOF_SECONDS"); seconds != nullptr) {
    options.seconds = std::strtod(seconds, nullptr);
    if (most) {
      options.most = *most;
      options.scripts = ~uint64_t{0};
      options.uses_all_seconds = true;
    }
  }
  if (const char* const seed = std::getenv("MORSEL_SEED"); seed != nullptr) {
    options.seed = std::strtoull(seed, nullptr, 0);
  }
  return options;
}

bool Thorough() { return std::getenv("MORSEL_PROOF_SECONDS") != nullptr; }

Exploration::Exploration(std::string target, const Options& options, Voice voice)
    : options_(options),
      random_(options.seed),
      voice_(voice),
      target_name_(std::move(target)),
      begin_(Clock::now()),
      deadline_(begin_ + Milliseconds(options.seconds)) {}

bool Exploration::OutOfTime() {
  if (Clock::now() < deadline_) return false;
  counts_.cut_short = true;
  return true;
}

bool Exploration::Explore(const Script& script) {
  if (failure_) return false;
  if (OutOfTime()) return true;
  script_ = script;
  ++counts_.scripts;
  return Conclude(ExploreScript(script));
}

bool Exploration::ExploreSequences(uint32_t operations, uint32_t length_max) {
  for (uint32_t length = 1; length <= length_max; ++length) {
    if (!ExploreSequencesOf(operations, length)) return false;
  }
  return true;
}

bool Exploration::ExploreSequencesOf(uint32_t operations, uint32_t length) {
  uint64_t count = 1;
  for (uint32_t i = 0; i < length; ++i) count *= operations;
  // Steps that share no divisor with the count come to each number once, from afar to afar.
  uint64_t step = count / 2 + 1 + options_.seed % count;
  while (std::gcd(step, count) != 1) ++step;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t number = i * step % count;
    std::vector<uint32_t> sequence(length);
    for (uint32_t& operation : sequence) {
      operation = static_cast<uint32_t>(number % operations);
      number /= operations;
    }
    if (!Explore({sequence})) return false;
  }
  return true;
}

bool Exploration::ExploreEach(const std::function<std::vector<uint32_t>()>& next) {
  for (uint64_t i = 0; i < options_.scripts && !OutOfTime(); ++i) {
    if (!Explore({next()})) return false;
  }
  return true;
}

bool Exploration::ExploreRandom(
    uint32_t operations, const std::function<bool(const std::vector<uint32_t>&)>& is_enough) {
  return ExploreEach([&] {
    std::vector<uint32_t> sequence;
    while (!is_enough(sequence)) {
      sequence.push_back(static_cast<uint32_t>(random_() % operations));
    }
    return sequence;
  });
}

bool Exploration::ExploreRandom(uint32_t operations, uint32_t length_min, uint32_t length_max) {
  return ExploreEach([&] {
    std::vector<uint32_t> sequence(length_min + random_() % (length_max - length_min + 1));
    for (uint32_t& operation : sequence) operation = static_cast<uint32_t>(random_() % operations);
    return sequence;
  });
}

bool Exploration::Deepen(const std::function<bool()>& explore) {
  const Effort first = options_.effort;
  bool good = explore();
  while (good && options_.effort != options_.most && !OutOfTime()) {
    options_.effort = More(options_.effort, options_.most);
    good = explore();
  }
  options_.effort = first;
  return good;
}

bool Exploration::IsNew(uint64_t hash, size_t crashes_left, bool again) {
  const auto [known, is_new] = known_.try_emplace(hash, Known{crashes_left, again});
  Known& before = known->second;
  if (!is_new && crashes_left <= before.crashes_left && (before.again || !again)) {
    ++counts_.known;
    return false;
  }
  before = {crashes_left, again};
  return true;
}

bool Exploration::Fail(std::string message, std::vector<Crash> crashes) {
  failure_.emplace();
  failure_->target = target_name_;
  failure_->message = std::move(message);
  failure_->seed = options_.seed;
  failure_->schedule = schedule_;
  failure_->script = script_;
  failure_->crashes = std::move(crashes);
  return false;
}

bool Exploration::Conclude(bool good) {
  if (good || voice_ == Voice::kQuiet) return good;
  LoseCrashesAndOperations();
  failure_->kept = Keep();
  failure_->text = Describe(*failure_, [this](uint32_t operation) { return NameOf(operation); });
  if (options_.print_failure) std::fputs(failure_->text.c_str(), stderr);
  return false;
}

// Whether it still fails without some `count` operations in a row of a thread.
bool Exploration::LosesPart(size_t thread, size_t count, const Options& options,
                            Clock::time_point deadline) {
  for (size_t i = 0; i + count <= failure_->script[thread].size(); ++i) {
    const std::chrono::duration<double> left = deadline - Clock::now();
    if (left.count() < 0) return false;
    Script less = failure_->script;
    const auto from = less[thread].begin() + static_cast<ptrdiff_t>(i);
    less[thread].erase(from, from + static_cast<ptrdiff_t>(count));
    Options shorter = options;
    shorter.seconds = std::min(left.count(), kSecondsForOne);
    if (FailsAlso(less, shorter)) return true;
  }
  return false;
}

// Fewer crashes, then fewer operations of the first incarnation, as long as it fails in some way:
// many at a time, then single ones.
void Exploration::LoseCrashesAndOperations() {
  // A process that has died once, and lives, is not asked to die again.
  if (failure_->message.starts_with("the code under test")) return;
  const auto deadline = Clock::now() + Milliseconds(kSecondsToMinimise);
  Options options = options_;
  options.seconds = kSecondsForOne;
  for (options.crashes = 0; options.crashes < failure_->crashes.size(); ++options.crashes) {
    if (FailsAlso(failure_->script, options)) break;
  }
  for (size_t thread = 0; thread < failure_->script.size(); ++thread) {
    for (size_t count = failure_->script[thread].size(); count > 0;) {
      if (!LosesPart(thread, count, options, deadline)) count /= 2;
      count = std::min(count, failure_->script[thread].size());
    }
  }
}

std::string Exploration::Summary() const {
  const std::chrono::duration<double> seconds = Clock::now() - begin_;
  char text[480];
  std::snprintf(text, sizeof text,
                "proof: %s, %" PRIu64 " states, %" PRIu64
                " crashes in recovery, %.1f s (seed %" PRIu64 ", %" PRIu64 " scripts, %" PRIu64
                " incarnations, %" PRIu64 " power cuts, %" PRIu64 " kills, %" PRIu64
                " faults, %" PRIu64 " states met again, %" PRIu64 " events",
                target_name_.c_str(), counts_.images + counts_.kills, counts_.later_crashes,
                seconds.count(), options_.seed, counts_.scripts, counts_.incarnations,
                counts_.images, counts_.kills, counts_.faults, counts_.known, counts_.events);
  return text + MoreInSummary() + (counts_.cut_short ? "; out of time)" : ")");
}

}  // namespace morsel::sim
