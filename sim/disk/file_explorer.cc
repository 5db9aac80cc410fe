#include "sim/disk/file_explorer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/checksum.h"
#include "os/testing/memory_testing.h"
#include "sim/disk/seeded_random.h"

namespace morsel::sim {
namespace {

/// A change of up to this many parts is torn in every way.
constexpr size_t kTearsMax = 3;
constexpr size_t kTearsMaxOfProof = 8;
constexpr uint64_t kImagesOfProof = 1024;

// What is said where the code under test ends the process.
std::string last_words;

void SayLastWords() {
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS}) {
    std::signal(signal, [](int caught) {
      (void)!write(STDERR_FILENO, last_words.data(), last_words.size());
      std::signal(caught, SIG_DFL);
      std::raise(caught);
    });
  }
}

// Each call in each way in which it can fail.
std::vector<Fault> FaultsOf(const std::vector<CallKind>& calls) {
  std::vector<Fault> faults;
  for (uint64_t call = 0; call < calls.size(); ++call) {
    // A call that is always interrupted is not ended by any.
    faults.push_back({call, EINTR, false});
    for (const int error : {EIO, ENOSPC}) {
      for (const bool lasts : {false, true}) faults.push_back({call, error, lasts});
    }
    if (calls[call] != CallKind::kOther) faults.push_back({call, os::kShort, false});
    if (calls[call] == CallKind::kWrite) faults.push_back({call, os::kPartial, false});
  }
  return faults;
}

// Of each script and fault as many crashes as there is time for.
Options UnderSanitizer(Options options) {
  Effort& effort = options.effort;
  effort.images_max = effort.later_images_max = effort.faulted_images_max = 1;
  effort.covered_max = 0;
  effort.go_on_one_in *= 8;
  effort.crash_again_one_in *= 8;
  options.seconds = std::min(options.seconds, 8.0);
  return options;
}

std::string InWords(const Fault& fault) {
  if (fault.call == Fault::kNever) return {};
  std::string what = std::string("fails: ") + std::strerror(fault.error);
  if (fault.error == os::kShort) what = "does half of what it should";
  if (fault.error == os::kPartial) what = "does half of what it should, and fails";
  return "call " + std::to_string(fault.call) + (fault.lasts ? " and each after it " : " ") + what;
}

Deed DeedOf(const CallSite* site) {
  if (site == nullptr) return {"a call of an earlier incarnation", {}};
  return {site->words, {site->callers.begin(), site->callers.end()}};
}

std::vector<Deed> InWords(const std::vector<LostCall>& lost) {
  std::vector<Deed> told;
  for (const LostCall& call : lost) {
    Deed& deed = told.emplace_back(DeedOf(call.site.get()));
    if (call.is_torn) deed.words = "in part: " + deed.words;
  }
  return told;
}

std::vector<Crash> InWords(const std::vector<DiskCrash>& crashes) {
  std::vector<Crash> told;
  for (const DiskCrash& of : crashes) {
    Crash& crash = told.emplace_back();
    crash.kill = of.kill;
    crash.after = std::to_string(of.calls) + " calls";
    if (of.newest != nullptr) crash.newest = DeedOf(of.newest.get());
    crash.lost = InWords(of.lost);
  }
  return told;
}

}  // namespace

Options FileOptionsFor(Options quick, const Effort& most) {
  return FromEnvironment(kTriesAllCrashes ? quick : UnderSanitizer(quick), most);
}

FileExplorer::FileExplorer(FileTarget& target, const Options& options, Voice voice)
    : Exploration(target.Name(), options, voice),
      target_(target),
      tree_(options.effort.covered_crashes, options.effort.covered_max, random_,
            [this](const FilePast& past) { return RecoverReadingAll(past); }) {}

FileExplorer::FileExplorer(FileTarget& target, const Options& options)
    : FileExplorer(target, options, Voice::kLoud) {
  SayLastWords();
  os::KeepFreedMemory();
}

bool FileExplorer::ExploreScript(const Script& script) {
  return ExploreIncarnation(FilePast{}, script.front());
}

bool FileExplorer::FailsAlso(const Script& script, const Options& options) {
  FileExplorer quiet(target_, options, Voice::kQuiet);
  const bool good =
      fault_.call == Fault::kNever ? quiet.Explore(script) : quiet.ExploreFaults(script.front());
  if (good) return false;
  failure_ = quiet.failure_;
  fault_ = quiet.fault_;
  found_ = quiet.found_;
  return true;
}

std::string FileExplorer::Keep() {
  std::string path = PathToKeep(target_.Name());
  sandbox_.Show(found_);
  return sandbox_.CopyTo(path) ? path : std::string();
}

bool FileExplorer::ExploreFaults(const FileScript& script) {
  if (failure_) return false;
  script_ = {script};
  ++counts_.scripts;
  const FileIncarnation whole = RunIncarnation(FilePast{}, script);
  if (!whole.failure.empty()) return Conclude(FailIn(FilePast{}, whole.failure));
  std::vector<Fault> faults = FaultsOf(whole.kinds);
  std::shuffle(faults.begin(), faults.end(), random_);
  for (const Fault& fault : faults) {
    if (OutOfTime()) return true;
    if (!Conclude(ExploreFault(script, fault))) return false;
  }
  return true;
}

bool FileExplorer::ExploreFault(const FileScript& script, const Fault& fault) {
  ++counts_.faults;
  FilePast past;
  past.fault = fault;
  return ExploreIncarnation(past, script);
}

FileIncarnation FileExplorer::RunIncarnation(const FilePast& past, const FileScript& script) {
  FileIncarnation incarnation;
  const uint64_t number = past.crashes.size();
  SeedRandomBytes(options_.seed + number);
  last_words = "while " + target_.Name() + " lived, MORSEL_SEED=" + std::to_string(options_.seed) +
               ", after " + std::to_string(number) + " crashes: ";
  for (const uint32_t operation : script_.front()) last_words += target_.NameOf(operation) + "; ";
  last_words += InWords(past.fault) + "\n";
  SimulatedFiles files(sandbox_, past.disk, past.fault, target_.maps_files());
  FileWorld world(files, sandbox_.root(), past.promises, options_.seed + number);
  incarnation.failure = target_.Recover(world);
  for (size_t i = 0; i < script.size() && incarnation.failure.empty(); ++i) {
    incarnation.failure = target_.Run(script[i], world);
  }
  files.Stop();
  target_.Forget();
  // Unmapped files have been stored to behind our back.
  if (target_.maps_files()) sandbox_.Distrust();
  incarnation.calls = files.calls();
  incarnation.promises = files.promises();
  incarnation.kinds = files.kinds();
  incarnation.struck_at = files.struck_at();
  incarnation.read = files.sectors_read();
  return incarnation;
}

bool FileExplorer::FailIn(const FilePast& past, std::string message) {
  fault_ = past.crashes.empty() ? past.fault : Fault{};
  found_ = past.disk;
  (void)Fail(std::move(message), InWords(past.crashes));
  failure_->fault = InWords(fault_);
  failure_->promised = past.promises.InWords();
  return false;
}

bool FileExplorer::ExploreIncarnation(const FilePast& past, const FileScript& script) {
  if (OutOfTime()) return true;
  ++counts_.incarnations;
  const FileIncarnation incarnation = RunIncarnation(past, script);
  counts_.events += incarnation.calls.size();
  if (!incarnation.failure.empty()) return FailIn(past, incarnation.failure);
  const bool is_first = past.crashes.empty();
  if (past.crashes.size() >= options_.crashes) return true;
  if (!past.crashes_again) return true;
  if (Walk(past, incarnation)) return true;
  // What came before the crash that is told of last: a fault belongs to the first incarnation.
  if (is_first && failure_) {
    fault_ = past.fault;
    failure_->fault = InWords(fault_);
  }
  return false;
}

bool FileExplorer::Walk(const FilePast& past, const FileIncarnation& incarnation) {
  uint64_t images_max =
      past.crashes.empty() ? options_.effort.images_max : options_.effort.later_images_max;
  size_t first = 0;
  if (past.fault.call != Fault::kNever) {
    if (!incarnation.struck_at) return true;
    // Until then it is the incarnation without the fault.
    first = *incarnation.struck_at;
    images_max = options_.effort.faulted_images_max;
  }
  return ForEachPoint(past, incarnation, first, [&](const FilePoint& point) {
    const bool crashes = point.settles || !point.newest.empty();
    return (!crashes || CrashAt(point, images_max)) && CoverAt(point);
  });
}

bool FileExplorer::ContinuesFrom(FilePast& past, const DiskCrash& crash) {
  const uint64_t words[] = {past.disk.Hash(), past.promises.Hash()};
  const uint64_t hash = Checksum64(words, sizeof words);
  past.crashes_again = hash % options_.effort.crash_again_one_in == 0;
  if (!IsNew(hash, options_.crashes - past.crashes.size(), past.crashes_again)) return false;
  ++(crash.kill ? counts_.kills : counts_.images);
  counts_.later_crashes += !past.crashes.empty();
  past.crashes.push_back(crash);
  return true;
}

bool FileExplorer::CrashAt(const FilePoint& point, uint64_t images_max) {
  const size_t tears_max = images_max >= kImagesOfProof ? kTearsMaxOfProof : kTearsMax;
  const std::vector<Question> questions = QuestionsOf(point.disk, point.newest, tears_max, random_);
  const bool good = ForEachAnswers(questions, images_max, random_, [&](const Answers& answers) {
    return AfterPowerCut(point, questions, answers);
  });
  // Where nothing is undecided a kill leaves what a power cut leaves.
  return good && (questions.empty() || AfterKill(point));
}

std::optional<FileIncarnation> FileExplorer::RecoverReadingAll(const FilePast& past) {
  if (OutOfTime()) return std::nullopt;
  FileIncarnation incarnation = RunIncarnation(past, {});
  if (incarnation.failure.empty()) return incarnation;
  (void)FailIn(past, incarnation.failure);
  return std::nullopt;
}

// What a fault leaves is sampled.
bool FileExplorer::CoverAt(const FilePoint& point) {
  if (options_.effort.covered_max == 0 || !point.past.crashes.empty() ||
      point.past.fault.call != Fault::kNever) {
    return true;
  }
  target_.ReadAll(true);
  const bool whole = tree_.Crash(point);
  target_.ReadAll(false);
  if (whole || !failure_) return true;  // nothing is wrong; time may be over
  for (const auto& [crash, lost] : tree_.lost()) {
    if (crash < failure_->crashes.size() && !failure_->crashes[crash].kill) {
      failure_->crashes[crash].lost = InWords(lost);
    }
  }
  return false;
}

FileScript FileExplorer::HowItGoesOn() {
  if (random_() % options_.effort.go_on_one_in != 0) return {};
  return target_.GoOn();
}

bool FileExplorer::AfterPowerCut(const FilePoint& point, const std::vector<Question>& questions,
                                 const Answers& answers) {
  if (OutOfTime()) return true;
  FilePast next{DiskAfter(point.disk, questions, answers), point.promises, point.past.crashes, {}};
  if (!ContinuesFrom(next, point.crash)) return true;
  next.crashes.back().lost = LostOf(point.disk, questions, answers);
  const FileScript script = HowItGoesOn();
  if (ExploreIncarnation(next, script)) return true;
  // Only of the last crash: what came before it is as it must be to get here.
  if (failure_->crashes.size() == next.crashes.size()) {
    const Answers less = LoseLess(point, questions, answers, script);
    found_ = DiskAfter(point.disk, questions, less);
    failure_->crashes.back().lost = InWords(LostOf(point.disk, questions, less));
  }
  return false;
}

bool FileExplorer::AfterKill(const FilePoint& point) {
  if (OutOfTime()) return true;
  FilePast next{point.disk, point.promises, point.past.crashes, {}};
  DiskCrash kill = point.crash;
  kill.kill = true;
  if (!ContinuesFrom(next, kill)) return true;
  return ExploreIncarnation(next, HowItGoesOn());
}

Answers FileExplorer::LoseLess(const FilePoint& point, const std::vector<Question>& questions,
                               Answers answers, const FileScript& script) {
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i] == 0) continue;
    Answers less = answers;
    less[i] = 0;
    FilePast next{DiskAfter(point.disk, questions, less), point.promises, point.past.crashes, {}};
    next.crashes.push_back(point.crash);
    const FileIncarnation incarnation = RunIncarnation(next, script);
    if (incarnation.failure.empty()) continue;
    answers = less;
    failure_->message = incarnation.failure;
  }
  return answers;
}

std::string FileExplorer::NotCovered() const {
  if (!kTriesAllCrashes) return {};
  if (counts_.cut_short && !options_.uses_all_seconds) return "there was too little time";
  const uint64_t crashes = options_.effort.covered_crashes;
  for (uint64_t before = 0; before < crashes; ++before) {
    const std::string where = "after " + std::to_string(before) + " crashes ";
    if (before >= covers().size()) return where + "none was tried";
    const CoverCounts& of = covers()[before];
    if (of.points == 0) return where + "no power cut was tried";
    if (of.whole != of.points) return where + "some points were not covered" + InWords(covers());
    // The last crash takes away what may be lost: it need not be a kill.
    if (of.kills == 0 && before + 1 < crashes) return where + "no kill was tried";
  }
  return {};
}

}  // namespace morsel::sim
