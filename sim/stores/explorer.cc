#include "sim/stores/explorer.h"

#include <cinttypes>
#include <cstdio>

#include "base/checksum.h"
#include "sim/model/image_choices.h"
#include "sim/stores/recorder.h"

namespace morsel::sim {
namespace {

const Line& Prepared(LineNumber line) { return Recorder::Get().Prepared(line); }

}  // namespace

Explorer::Explorer(Target& target, const Options& options, Voice voice)
    : Exploration(target.Name(), options, voice),
      target_(target),
      runner_(target, options.strict),
      first_schedule_(options.seed) {}

Explorer::Explorer(Target& target, const Options& options)
    : Explorer(target, options, Voice::kLoud) {
  target_.Prepare();
  Recorder::Get().Watch(target_.Memory());
}

bool Explorer::ExploreScript(const Script& script) {
  KeptImage kept;
  if (voice_ == Voice::kLoud && Replay(target_.Name(), &kept)) {
    replays_ = true;
    const Past past{MediumState(std::move(kept.image)), std::move(kept.log), {}, {}};
    return ExploreIncarnation(past, target_.GoOn(kept.pick), 0);
  }
  const bool threads = script.size() > 1;
  for (uint64_t i = 0; i < (threads ? options_.schedules : 1); ++i) {
    schedule_ = first_schedule_ + i;
    if (!ExploreIncarnation(Past{}, script, schedule_)) return false;
  }
  return true;
}

bool Explorer::FailsAlso(const Script& script, const Options& options) {
  if (replays_) return false;
  Explorer quiet(target_, options, Voice::kQuiet);
  quiet.first_schedule_ = first_schedule_;
  if (quiet.Explore(script)) return false;
  failure_ = quiet.failure_;
  kept_ = quiet.kept_;
  return true;
}

// What of the stores of `state` the choice leaves out.
void Explorer::LoseIn(CrashPoint& crash, const MediumState& state, const Choice& choice) const {
  crash.lost.clear();
  size_t i = 0;
  for (const auto& [number, line] : state.undecided()) {
    const char* const address = Recorder::Get().AddressOf(number);
    for (size_t store = choice[i]; store < line.stores.size(); ++store) {
      crash.lost.emplace_back(address + line.stores[store].word * kWordBytes, line.stores[store]);
    }
    ++i;
  }
}

std::vector<Crash> Explorer::InWords(const std::vector<CrashPoint>& crashes) {
  std::vector<Crash> told;
  for (const CrashPoint& point : crashes) {
    Crash& crash = told.emplace_back();
    crash.kill = point.kill;
    crash.after = std::to_string(point.event) + " events";
    crash.newest = {point.pc == nullptr ? "an addition to the log" : "a store", {point.pc}};
    for (const auto& [address, store] : point.lost) {
      char words[80];
      std::snprintf(words, sizeof words, "0x%" PRIx64 " at %p%s", store.value,
                    static_cast<const void*>(address),
                    store.pc == nullptr ? ", stored by code without hooks" : "");
      crash.lost.push_back({words, {store.pc}});
    }
    crash.goes_on = target_.GoOn(point.pick);
  }
  return told;
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
    kept_ = {past.medium.Visible(), past.log, first ? 0 : past.crashes.back().pick};
    return Fail(incarnation.failure, InWords(past.crashes));
  }
  if (past.crashes.size() == options_.crashes) return true;
  // A kill takes nothing away: only the crash after it tells whether it was got over.
  if (!first && !past.crashes.back().kill && options_.effort.crash_again_one_in > 1 &&
      random_() % options_.effort.crash_again_one_in != 0) {
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

bool Explorer::IsNewToLog(uint64_t state, const Log& log, size_t crashes_before) {
  const uint64_t words[] = {state, log.Hash()};
  return IsNew(Checksum64(words, sizeof words), options_.crashes - crashes_before);
}

Explorer::Past Explorer::After(const Past& past, MediumState medium, const Log& log,
                               const CrashPoint& at) {
  counts_.later_crashes += !past.crashes.empty();
  Past next{std::move(medium), log, past.crashes, past.answers};
  next.crashes.push_back(at);
  next.crashes.back().pick = random_();
  return next;
}

bool Explorer::CrashAt(const Past& past, const MediumState& state, std::optional<LineNumber> newest,
                       const Log& log, const CrashPoint& at) {
  const bool later = !past.crashes.empty();
  const uint64_t images_max = later ? options_.effort.later_images_max : options_.effort.images_max;
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
  if (!IsNewToLog(HashOf(image, Prepared), log, past.crashes.size())) return true;
  ++counts_.images;
  Past next = After(past, MediumState(std::move(image)), log, at);
  LoseIn(next.crashes.back(), state, choice);
  const uint64_t pick = next.crashes.back().pick;
  if (ExploreIncarnation(next, target_.GoOn(pick), 0)) return true;
  // Only of the last crash: what came before it is as it must be to get here.
  if (voice_ == Voice::kLoud && failure_->crashes.size() == next.crashes.size()) {
    const Choice less = LoseLess(past, state, choice, log, pick);
    kept_.image = state.After(less);
    LoseIn(next.crashes.back(), state, less);
    failure_->crashes = InWords(next.crashes);
  }
  return false;
}

bool Explorer::AfterKill(const Past& past, const MediumState& state, const Log& log,
                         const CrashPoint& at) {
  if (OutOfTime()) return true;
  MediumState dead = state;
  dead.Kill();
  if (!IsNewToLog(dead.Hash() ^ 1, log, past.crashes.size())) return true;
  ++counts_.kills;
  Past next = After(past, std::move(dead), log, at);
  next.crashes.back().kill = true;
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

}  // namespace morsel::sim
