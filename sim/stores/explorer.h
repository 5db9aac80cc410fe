// Runs a target, crashes it in every way that the crash model allows, lets it recover, continues
// and crashes it again. Reports the first crash from which the target does not recover as it
// promised.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/model/crash_model.h"
#include "sim/model/exploration.h"
#include "sim/model/medium_state.h"
#include "sim/stores/incarnation.h"
#include "sim/stores/kept_image.h"
#include "sim/stores/log.h"
#include "sim/stores/target.h"

namespace morsel::sim {

class Explorer : public Exploration {
 public:
  /// Prepares the medium. The target must outlive the explorer.
  Explorer(Target& target, const Options& options);

  /// From now on scripts of several threads run under other schedules.
  void ChangeSchedules() { first_schedule_ += options_.schedules; }

 private:
  struct CrashPoint {
    bool kill = false;
    uint64_t event = 0;        ///< how many events of the incarnation precede it
    const void* pc = nullptr;  ///< of the last store before it; nullptr: a log entry
    /// The stores, by address, that were visible and are missing from the image, of a power cut.
    std::vector<std::pair<const char*, UndecidedStore>> lost;
    uint64_t pick = 0;  ///< chooses how the next incarnation continues
  };
  /// What an incarnation begins with, and what came before it.
  struct Past {
    MediumState medium;
    Log log;
    std::vector<CrashPoint> crashes;
    std::set<std::string> answers;  ///< of the last incarnation; empty: any is right
  };

  /// Explores the medium that is watched already.
  Explorer(Target& target, const Options& options, Voice voice);

  bool ExploreScript(const Script& script) override;
  bool FailsAlso(const Script& script, const Options& options) override;
  std::string Keep() override { return sim::Keep(target_.Name(), kept_); }
  std::string NameOf(uint32_t operation) const override { return target_.NameOf(operation); }

  bool ExploreIncarnation(const Past& past, const Script& script, uint64_t schedule);
  bool Walk(Past past, const Incarnation& incarnation, const Log& log);
  bool CrashAt(const Past& past, const MediumState& state, std::optional<LineNumber> newest,
               const Log& log, const CrashPoint& at);
  bool AfterPowerCut(const Past& past, const MediumState& state, const Choice& choice,
                     const Log& log, const CrashPoint& at);
  bool AfterKill(const Past& past, const MediumState& state, const Log& log, const CrashPoint& at);
  bool IsNewToLog(uint64_t state, const Log& log, size_t crashes_before);
  /// The past of the incarnation that comes after a crash there.
  Past After(const Past& past, MediumState medium, const Log& log, const CrashPoint& at);
  void LoseIn(CrashPoint& crash, const MediumState& state, const Choice& choice) const;
  /// The choice that keeps as many stores as it can and still fails.
  Choice LoseLess(const Past& past, const MediumState& state, Choice choice, const Log& log,
                  uint64_t pick);
  std::vector<Crash> InWords(const std::vector<CrashPoint>& crashes);

  Target& target_;
  IncarnationRunner runner_;
  KeptImage kept_;  ///< of the failure
  bool replays_ = false;
  uint64_t first_schedule_;
};

}  // namespace morsel::sim
