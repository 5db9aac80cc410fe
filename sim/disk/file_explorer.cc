#include "sim/disk/file_explorer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/checksum.h"
#include "os/testing/memory_testing.h"
#include "sim/disk/seeded_random.h"

namespace morsel::sim {
namespace {

using Clock = std::chrono::steady_clock;

/// A change of up to this many parts is torn in every way.
constexpr size_t kTearsMax = 3;
constexpr size_t kTearsMaxOfProof = 8;
constexpr uint64_t kImagesOfProof = 1024;
constexpr double kSecondsToMinimise = 20;
constexpr double kSecondsForOne = 4;

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
    if (calls[call] != CallKind::kOther) faults.push_back({call, Fault::kShort, false});
    if (calls[call] == CallKind::kWrite) faults.push_back({call, Fault::kPartial, false});
  }
  return faults;
}

// The next step from an effort to the most.
Effort More(const Effort& effort, const Effort& most) {
  return {.images_max = std::min(8 * effort.images_max, most.images_max),
          .covered_max = most.covered_max,
          .covered_crashes = most.covered_crashes,
          .later_images_max = std::min(2 * effort.later_images_max, most.later_images_max),
          .faulted_images_max = std::min(4 * effort.faulted_images_max, most.faulted_images_max),
          .go_on_one_in = std::max(effort.go_on_one_in / 2, most.go_on_one_in),
          .crash_again_one_in = std::max(effort.crash_again_one_in / 2, most.crash_again_one_in)};
}

// Of each script and fault as many crashes as there is time for.
FileOptions UnderSanitizer(FileOptions options) {
  Effort& effort = options.effort;
  effort.images_max = effort.later_images_max = effort.faulted_images_max = 1;
  effort.covered_max = 0;
  effort.go_on_one_in *= 8;
  effort.crash_again_one_in *= 8;
  options.seconds = std::min(options.seconds, 8.0);
  return options;
}

std::chrono::milliseconds Milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

}  // namespace

FileOptions FileOptionsFor(FileOptions quick, const Effort& most) {
  FileOptions options = kTriesAllCrashes ? quick : UnderSanitizer(quick);
  options.most = options.effort;
  if (const char* const seconds = std::getenv("MORSEL_PROOF_SECONDS"); seconds != nullptr) {
    options.seconds = std::strtod(seconds, nullptr);
    options.most = most;
    options.scripts = ~uint64_t{0};
    options.uses_all_seconds = true;
  }
  if (const char* const seed = std::getenv("MORSEL_SEED"); seed != nullptr) {
    options.seed = std::strtoull(seed, nullptr, 0);
  }
  return options;
}

FileExplorer::FileExplorer(FileTarget& target, const FileOptions& options, Voice voice)
    : target_(target),
      options_(options),
      random_(options.seed),
      tree_(options.effort.covered_crashes, options.effort.covered_max, random_,
            [this](const FilePast& past) { return RecoverReadingAll(past); }),
      voice_(voice),
      begin_(Clock::now()),
      deadline_(begin_ + Milliseconds(options.seconds)) {}

FileExplorer::FileExplorer(FileTarget& target, const FileOptions& options)
    : FileExplorer(target, options, Voice::kLoud) {
  SayLastWords();
  os::KeepFreedMemory();
  std::printf("%s: MORSEL_SEED=%" PRIu64 "\n", target.Name().c_str(), options.seed);
}

bool FileExplorer::OutOfTime() {
  if (Clock::now() < deadline_) return false;
  counts_.cut_short = true;
  return true;
}

bool FileExplorer::Explore(const FileScript& script) {
  if (failure_) return false;
  script_ = script;
  ++counts_.scripts;
  return Conclude(ExploreIncarnation(FilePast{}, script));
}

bool FileExplorer::ExploreSequences(uint32_t length) {
  std::vector<FileScript> scripts = {{}};
  for (uint32_t at = 0; at < length; ++at) {
    std::vector<FileScript> longer;
    for (const FileScript& script : scripts) {
      for (uint32_t operation = 0; operation < target_.operations(); ++operation) {
        longer.push_back(script);
        longer.back().push_back(operation);
      }
    }
    scripts = std::move(longer);
  }
  // Where time ends it, some of all kinds have been explored.
  std::shuffle(scripts.begin(), scripts.end(), random_);
  for (const FileScript& script : scripts) {
    if (OutOfTime()) return true;
    if (!Explore(script)) return false;
  }
  return true;
}

bool FileExplorer::ExploreRandom(uint32_t length) {
  return ExploreRandom([length](const FileScript& script) { return script.size() == length; });
}

bool FileExplorer::ExploreRandom(const std::function<bool(const FileScript&)>& is_enough) {
  for (uint64_t i = 0; i < options_.scripts && !OutOfTime(); ++i) {
    FileScript script;
    while (!is_enough(script)) {
      script.push_back(static_cast<uint32_t>(random_() % target_.operations()));
    }
    if (!Explore(script)) return false;
  }
  return true;
}

bool FileExplorer::Deepen(const std::function<bool()>& explore) {
  const Effort first = options_.effort;
  bool good = explore();
  while (good && options_.effort != options_.most && !OutOfTime()) {
    options_.effort = More(options_.effort, options_.most);
    good = explore();
  }
  options_.effort = first;
  return good;
}

bool FileExplorer::ExploreFaults(const FileScript& script) {
  if (failure_) return false;
  script_ = script;
  ++counts_.scripts;
  const FileIncarnation whole = RunIncarnation(FilePast{}, script);
  if (!whole.failure.empty()) return Conclude(Fail(FilePast{}, whole.failure));
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
  script_ = script;
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
  for (const uint32_t operation : script_) last_words += target_.NameOf(operation) + "; ";
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

bool FileExplorer::Fail(const FilePast& past, std::string message) {
  failure_ = FileFailure{.target = target_.Name(),
                         .message = std::move(message),
                         .seed = options_.seed,
                         .script = script_,
                         .fault = past.crashes.empty() ? past.fault : Fault{},
                         .crashes = past.crashes,
                         .disk = past.disk,
                         .promises = past.promises};
  return false;
}

bool FileExplorer::ExploreIncarnation(const FilePast& past, const FileScript& script) {
  if (OutOfTime()) return true;
  const FileIncarnation incarnation = RunIncarnation(past, script);
  if (!incarnation.failure.empty()) return Fail(past, incarnation.failure);
  const bool is_first = past.crashes.empty();
  if (past.crashes.size() >= options_.crashes) return true;
  if (!past.crashes_again) return true;
  if (Walk(past, incarnation)) return true;
  // What came before the crash that is told of last: a fault belongs to the first incarnation.
  if (is_first && failure_) failure_->fault = past.fault;
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

bool FileExplorer::IsNew(FilePast& past, const DiskCrash& crash) {
  const uint64_t words[] = {past.disk.Hash(), past.promises.Hash()};
  const uint64_t hash = Checksum64(words, sizeof words);
  const size_t left = options_.crashes - past.crashes.size();
  past.crashes_again = hash % options_.effort.crash_again_one_in == 0;
  const auto [known, is_new] = known_.try_emplace(hash, Known{left, past.crashes_again});
  const bool was_less =
      left > known->second.crashes_left || (past.crashes_again && !known->second.crashes_again);
  if (!is_new && !was_less) {
    ++counts_.known;
    return false;
  }
  known->second = {left, past.crashes_again};
  ++counts_.images;
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
  (void)Fail(past, incarnation.failure);
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
  tree_.AddLost(failure_->crashes);
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
  if (!IsNew(next, point.crash)) return true;
  next.crashes.back().lost = LostOf(point.disk, questions, answers);
  const FileScript script = HowItGoesOn();
  if (ExploreIncarnation(next, script)) return true;
  // Only of the last crash: what came before it is as it must be to get here.
  if (failure_->crashes.size() == next.crashes.size()) {
    const Answers less = LoseLess(point, questions, answers, script);
    failure_->disk = DiskAfter(point.disk, questions, less);
    failure_->crashes.back().lost = LostOf(point.disk, questions, less);
  }
  return false;
}

bool FileExplorer::AfterKill(const FilePoint& point) {
  if (OutOfTime()) return true;
  FilePast next{point.disk, point.promises, point.past.crashes, {}};
  if (!IsNew(next, point.crash)) return true;
  next.crashes.back().kill = true;
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

// Fewer operations of the first incarnation, as long as it fails in some way: many at a time, then
// single ones.
void FileExplorer::LoseOperations() {
  const auto deadline = Clock::now() + Milliseconds(kSecondsToMinimise);
  size_t count = failure_->script.size();
  while (count > 0) {
    bool shorter = false;
    for (size_t i = 0; i + count <= failure_->script.size() && !shorter; ++i) {
      const std::chrono::duration<double> left = deadline - Clock::now();
      if (left.count() < 0) return;
      FileOptions options = options_;
      options.seconds = std::min(left.count(), kSecondsForOne);
      FileScript less = failure_->script;
      const auto from = less.begin() + static_cast<ptrdiff_t>(i);
      less.erase(from, from + static_cast<ptrdiff_t>(count));
      FileExplorer other(target_, options, Voice::kQuiet);
      const bool good =
          failure_->fault.call == Fault::kNever ? other.Explore(less) : other.ExploreFaults(less);
      if (good) continue;
      failure_ = other.failure_;
      shorter = true;
    }
    if (!shorter) count /= 2;
    count = std::min(count, failure_->script.size());
  }
}

bool FileExplorer::Conclude(bool good) {
  if (good || voice_ == Voice::kQuiet) return good;
  LoseOperations();
  const std::string path = Keep(*failure_, sandbox_);
  std::fprintf(stderr, "%s", Describe(*failure_, target_).c_str());
  if (!path.empty()) std::fprintf(stderr, "  disk     %s\n", path.c_str());
  return false;
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

std::string FileExplorer::Summary() const {
  const std::chrono::duration<double> seconds = Clock::now() - begin_;
  char text[400];
  std::snprintf(text, sizeof text,
                "proof: %s, %" PRIu64 " states, %" PRIu64
                " crashes in recovery, %.1f s"
                " (seed %" PRIu64 ", %" PRIu64 " scripts, %" PRIu64 " faults, %" PRIu64
                " states met again",
                target_.Name().c_str(), counts_.images, counts_.later_crashes, seconds.count(),
                options_.seed, counts_.scripts, counts_.faults, counts_.known);
  return text + InWords(covers()) + (counts_.cut_short ? "; out of time)" : ")");
}

}  // namespace morsel::sim
