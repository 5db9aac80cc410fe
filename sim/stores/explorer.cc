#include "sim/stores/explorer.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "base/check.h"
#include "base/checksum.h"
#include "sim/model/image_choices.h"
#include "sim/stores/recorder.h"

namespace morsel::sim {
namespace {

const Line& Prepared(LineNumber line) { return Recorder::Get().Prepared(line); }

// What of the stores of `state` the choice leaves out.
std::vector<LostStore> Lost(const MediumState& state, const Choice& choice) {
  std::vector<LostStore> lost;
  size_t i = 0;
  for (const auto& [number, line] : state.undecided()) {
    const char* const address = Recorder::Get().AddressOf(number);
    for (size_t store = choice[i]; store < line.stores.size(); ++store) {
      const UndecidedStore& of = line.stores[store];
      lost.push_back({address + of.word * kWordBytes, of.value, of.pc});
    }
    ++i;
  }
  return lost;
}

}  // namespace

Options FromEnvironment(Options options) {
  if (const char* const seed = std::getenv("MORSEL_SEED"); seed != nullptr) {
    options.seed = std::strtoull(seed, nullptr, 0);
  }
  if (const char* const seconds = std::getenv("MORSEL_PROOF_SECONDS"); seconds != nullptr) {
    options.seconds = std::strtod(seconds, nullptr);
  }
  return options;
}

bool Thorough() { return std::getenv("MORSEL_PROOF_SECONDS") != nullptr; }

Explorer::Explorer(Target& target, Options options)
    : target_(target),
      options_(options),
      runner_(target, options.strict),
      random_(options.seed),
      first_schedule_(options.seed),
      deadline_(std::chrono::steady_clock::now() +
                std::chrono::milliseconds(static_cast<int64_t>(options.seconds * 1000))) {
  target_.Prepare();
  Recorder::Get().Watch(target_.Memory());
}

Explorer::Explorer(Target& target, Options options, Recorder&)
    : target_(target),
      options_(options),
      runner_(target, options.strict),
      random_(options.seed),
      quiet_(true),
      first_schedule_(options.seed),
      deadline_(std::chrono::steady_clock::now() + std::chrono::seconds(20)) {}

bool Explorer::OutOfTime() {
  if (std::chrono::steady_clock::now() < deadline_) return false;
  counts_.cut_short = true;
  return true;
}

bool Explorer::Explore(const Script& script) {
  if (failure_) return false;
  if (OutOfTime()) return true;
  Image kept;
  Log kept_log;
  uint64_t pick = 0;
  if (!quiet_ && Replay(target_.Name(), &kept, &kept_log, &pick)) {
    const Past past{MediumState(std::move(kept)), std::move(kept_log), {}, {}};
    if (ExploreIncarnation(past, target_.GoOn(pick), 0)) return true;
    quiet_ = true;
    Report();
    return false;
  }
  script_ = script;
  ++counts_.scripts;
  const bool threads = script.size() > 1;
  for (uint64_t i = 0; i < (threads ? options_.schedules : 1); ++i) {
    schedule_ = first_schedule_ + i;
    if (ExploreIncarnation(Past{}, script, schedule_)) continue;
    if (!quiet_) {
      LoseCrashesAndOperations();
      Report();
    }
    return false;
  }
  return true;
}

bool Explorer::ExploreSequences(uint32_t operations, uint32_t length_max) {
  for (uint32_t length = 1; length <= length_max; ++length) {
    if (!ExploreSequencesOf(operations, length)) return false;
  }
  return true;
}

bool Explorer::ExploreSequencesOf(uint32_t operations, uint32_t length) {
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

bool Explorer::ExploreRandom(uint32_t operations, uint32_t length_min, uint32_t length_max) {
  std::mt19937_64 random(options_.seed);
  while (!counts_.cut_short) {
    std::vector<uint32_t> sequence(length_min + random() % (length_max - length_min + 1));
    for (uint32_t& operation : sequence) operation = static_cast<uint32_t>(random() % operations);
    if (!Explore({sequence})) return false;
  }
  return true;
}

bool Explorer::ExploreIncarnation(const Past& past, const Script& script, uint64_t schedule) {
  if (OutOfTime()) return true;
  ++counts_.incarnations;
  Log log = past.log;
  const bool first = past.crashes.empty();
  const Incarnation incarnation =
      runner_.Run(past.medium.Visible(), log, script, schedule, &past.answers);
  counts_.events += incarnation.trace.size();
  if (!incarnation.failure.empty()) {
    failure_ = Failure{.target = target_.Name(),
                       .message = incarnation.failure,
                       .seed = options_.seed,
                       .schedule = schedule_,
                       .script = script_,
                       .crashes = past.crashes,
                       .image = past.medium.Visible(),
                       .log = past.log,
                       .kept = {}};
    return false;
  }
  if (past.crashes.size() == options_.crashes) return true;
  // A kill takes nothing away: only the crash after it tells whether it was got over.
  if (!first && !past.crashes.back().kill && options_.crash_again_one_in > 1 &&
      random_() % options_.crash_again_one_in != 0) {
    return true;
  }
  return Walk(past, incarnation, log);
}

bool Explorer::Walk(Past past, const Incarnation& incarnation, const Log& log) {
  past.answers = incarnation.answers;
  MediumState state = past.medium;
  uint64_t entries = past.log.entries().size();
  Log promised = past.log;
  CrashPoint at;
  for (const Event& event : incarnation.trace) {
    state.Apply(event, Prepared);
    ++at.event;
    if (event.kind == Event::Kind::kStore) {
      at.pc = event.pc;
      if (!CrashAt(past, state, event.place / kWordsPerLine, promised, at)) return false;
    }
    if (event.kind == Event::Kind::kLog) {
      bool only_begun = true;
      for (; entries < event.value; ++entries) {
        only_begun = only_begun && log.entries()[entries].kind == LogEntry::Kind::kBegan;
      }
      promised = log.Prefix(entries);
      at.pc = nullptr;
      // What is begun allows more, and demands nothing: what was right before is right.
      if (!only_begun && !CrashAt(past, state, std::nullopt, promised, at)) return false;
    }
  }
  return true;
}

bool Explorer::IsNew(uint64_t state, const Log& log, uint32_t crashes_left) {
  const uint64_t words[] = {state, log.Hash()};
  const auto [known, is_new] = known_.try_emplace(Checksum64(words, sizeof words), crashes_left);
  if (!is_new && known->second >= crashes_left) {
    ++counts_.known;
    return false;
  }
  known->second = crashes_left;
  return true;
}

bool Explorer::CrashAt(const Past& past, const MediumState& state, std::optional<LineNumber> newest,
                       const Log& log, const CrashPoint& at) {
  const bool later = !past.crashes.empty();
  const uint64_t images_max = later ? options_.later_images_max : options_.images_max;
  const bool good = ForEachChoice(state, newest, images_max, random_, [&](const Choice& choice) {
    return AfterPowerCut(past, state, choice, log, at);
  });
  if (!good) return false;
  // Where every line is decided, a kill leaves what a power cut leaves; and a kill in the last
  // incarnation of all would be followed by nothing that tells them apart.
  const bool tells = past.crashes.size() + 1 < options_.crashes && !state.undecided().empty();
  return !options_.kills || !tells || AfterKill(past, state, log, at);
}

bool Explorer::AfterPowerCut(const Past& past, const MediumState& state, const Choice& choice,
                             const Log& log, const CrashPoint& at) {
  if (OutOfTime()) return true;
  Image image = state.After(choice);
  const uint32_t left = options_.crashes - static_cast<uint32_t>(past.crashes.size());
  if (!IsNew(HashOf(image, Prepared), log, left)) return true;
  ++counts_.images;
  counts_.later_crashes += !past.crashes.empty();
  Past next{MediumState(std::move(image)), log, past.crashes, past.answers};
  next.crashes.push_back(at);
  next.crashes.back().lost = Lost(state, choice);
  next.crashes.back().pick = random_();
  if (ExploreIncarnation(next, target_.GoOn(next.crashes.back().pick), 0)) return true;
  // Only of the last crash: what came before it is as it must be to get here.
  if (!quiet_ && failure_->crashes.size() == next.crashes.size()) {
    Failure found = *failure_;
    const Choice less = LoseLess(past, state, choice, log, next.crashes.back().pick);
    found.image = state.After(less);
    found.crashes.back().lost = Lost(state, less);
    failure_ = found;
  }
  return false;
}

bool Explorer::AfterKill(const Past& past, const MediumState& state, const Log& log,
                         const CrashPoint& at) {
  if (OutOfTime()) return true;
  const uint32_t left = options_.crashes - static_cast<uint32_t>(past.crashes.size());
  MediumState dead = state;
  dead.Kill();
  if (!IsNew(dead.Hash() ^ 1, log, left)) return true;
  ++counts_.kills;
  counts_.later_crashes += !past.crashes.empty();
  Past next{std::move(dead), log, past.crashes, past.answers};
  next.crashes.push_back(at);
  next.crashes.back().kill = true;
  next.crashes.back().pick = random_();
  return ExploreIncarnation(next, target_.GoOn(next.crashes.back().pick), 0);
}

Choice Explorer::LoseLess(const Past& past, const MediumState& state, Choice choice, const Log& log,
                          uint64_t pick) {
  if (failure_->message.starts_with("the code under test")) return choice;  // once is enough
  const Choice newest = state.Newest();
  for (size_t i = 0; i < choice.size(); ++i) {
    if (choice[i] == newest[i]) continue;
    Choice less = choice;
    less[i] = newest[i];
    Log promised = log;
    const Incarnation incarnation =
        runner_.Run(state.After(less), promised, target_.GoOn(pick), 0, &past.answers);
    if (!incarnation.failure.empty()) choice = less;
  }
  return choice;
}

bool Explorer::FailsAlso(const Script& script, Options options) {
  Explorer quiet(target_, options, Recorder::Get());
  quiet.first_schedule_ = first_schedule_;
  if (quiet.Explore(script) || !quiet.failure_) return false;
  failure_ = quiet.failure_;
  return true;
}

// Fewer crashes, then fewer operations of the first incarnation, as long as it fails in some way.
void Explorer::LoseCrashesAndOperations() {
  if (failure_->message.starts_with("the code under test")) return;
  Options options = options_;
  for (options.crashes = 0; options.crashes < failure_->crashes.size(); ++options.crashes) {
    if (FailsAlso(failure_->script, options)) break;
  }
  for (bool shorter = true; shorter;) {
    shorter = false;
    for (size_t thread = 0; thread < failure_->script.size() && !shorter; ++thread) {
      for (size_t i = 0; i < failure_->script[thread].size() && !shorter; ++i) {
        Script less = failure_->script;
        less[thread].erase(less[thread].begin() + static_cast<ptrdiff_t>(i));
        shorter = FailsAlso(less, options);
      }
    }
  }
}

void Explorer::Report() {
  failure_->kept = Keep(*failure_);
  if (options_.print_failure) std::fputs(Describe(*failure_, target_).c_str(), stderr);
}

std::string Explorer::Summary() const {
  char text[320];
  std::snprintf(text, sizeof text,
                "%s: seed %" PRIu64 ", %" PRIu64 " scripts, %" PRIu64 " incarnations, %" PRIu64
                " images, %" PRIu64 " kills, %" PRIu64 " crashes after a crash, %" PRIu64
                " states met again, %" PRIu64 " events%s",
                target_.Name().c_str(), options_.seed, counts_.scripts, counts_.incarnations,
                counts_.images, counts_.kills, counts_.later_crashes, counts_.known, counts_.events,
                counts_.cut_short ? "; out of time" : "");
  return text;
}

}  // namespace morsel::sim
