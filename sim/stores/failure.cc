#include "sim/stores/failure.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "sim/model/source_lines.h"
#include "sim/stores/recorder.h"

namespace morsel::sim {
namespace {

constexpr size_t kLostTold = 20;

[[gnu::format(printf, 2, 3)]] void Append(std::string& text, const char* format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text += line;
}

/// All source lines of a failure, asked for at once.
class Lines {
 public:
  explicit Lines(const Failure& failure) {
    for (const CrashPoint& crash : failure.crashes) {
      if (crash.pc != nullptr) known_[crash.pc];
      for (const LostStore& store : crash.lost) {
        if (store.pc != nullptr) known_[store.pc];
      }
    }
    std::vector<const void*> addresses;
    for (const auto& [pc, line] : known_) addresses.push_back(pc);
    const std::vector<std::string> found = SourceLines(addresses);
    for (size_t i = 0; i < addresses.size(); ++i) known_[addresses[i]] = found[i];
  }

  std::string Of(const void* pc) const {
    return pc == nullptr ? "code without hooks" : known_.at(pc);
  }

 private:
  std::map<const void*, std::string> known_;
};

void DescribeCrash(const CrashPoint& crash, size_t number, const Lines& lines, std::string& text) {
  Append(
      text, "  crash %zu  %s after event %" PRIu64 ", %s\n", number,
      crash.kill ? "a kill" : "a power cut", crash.event,
      crash.pc == nullptr ? "when the log grew" : ("the store at " + lines.Of(crash.pc)).c_str());
  if (crash.kill) return;
  if (crash.lost.empty()) Append(text, "    lost   nothing\n");
  size_t told = 0;
  for (const LostStore& store : crash.lost) {
    if (told++ == kLostTold) {
      Append(text, "    ... and %zu more stores\n", crash.lost.size() - kLostTold);
      return;
    }
    Append(text, "    lost   0x%" PRIx64 " at %p, stored at %s\n", store.value, store.address,
           lines.Of(store.pc).c_str());
  }
}

void AppendScript(const char* label, const Script& script, const Target& target,
                  std::string& text) {
  for (size_t thread = 0; thread < script.size(); ++thread) {
    if (script[thread].empty()) continue;
    Append(text, "  %s", label);
    if (script.size() > 1) Append(text, " thread %zu:", thread);
    for (const uint32_t operation : script[thread]) {
      Append(text, " %s;", target.NameOf(operation).c_str());
    }
    text += "\n";
  }
}

std::string FolderToKeepIn() {
  for (const char* const name : {"MORSEL_SIM_KEEP", "TEST_UNDECLARED_OUTPUTS_DIR", "TMPDIR"}) {
    if (const char* const folder = std::getenv(name); folder != nullptr) return folder;
  }
  return "/tmp";
}

}  // namespace

std::string Describe(const Failure& failure, Target& target) {
  const Lines lines(failure);
  std::string text;
  Append(text, "%s: %s\n", failure.target.c_str(), failure.message.c_str());
  Append(text, "  seed     %" PRIu64 " (MORSEL_SEED), schedule %" PRIu64 "\n", failure.seed,
         failure.schedule);
  AppendScript("does    ", failure.script, target, text);
  for (size_t i = 0; i < failure.crashes.size(); ++i) {
    DescribeCrash(failure.crashes[i], i + 1, lines, text);
    const Script after = target.GoOn(failure.crashes[i].pick);
    AppendScript("goes on ", after, target, text);
  }
  if (!failure.kept.empty()) {
    Append(text, "  image    %s (MORSEL_SIM_REPLAY)\n", failure.kept.c_str());
  }
  return text;
}

std::string Keep(const Failure& failure) {
  const std::string path = FolderToKeepIn() + "/morsel-sim-" + failure.target + "-" +
                           std::to_string(getpid()) + ".image";
  std::FILE* const file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return {};
  std::fprintf(file, "morsel-sim %s\n", failure.target.c_str());
  if (!failure.crashes.empty()) {
    std::fprintf(file, "pick %" PRIu64 "\n", failure.crashes.back().pick);
  }
  for (const LogEntry& entry : failure.log.entries()) {
    std::fprintf(file, "log %u %u %u %" PRIx64 " %" PRIx64 " %" PRIx64 "\n",
                 static_cast<unsigned>(entry.kind), entry.thread, entry.what, entry.words[0],
                 entry.words[1], entry.words[2]);
  }
  for (const auto& [number, line] : failure.image) {
    std::fprintf(file, "line %" PRIu64, number);
    for (const uint64_t word : line) std::fprintf(file, " %" PRIx64, word);
    std::fprintf(file, "\n");
  }
  return std::fclose(file) == 0 ? path : std::string();
}

bool Replay(const std::string& target, Image* image, Log* log, uint64_t* pick) {
  const char* const path = std::getenv("MORSEL_SIM_REPLAY");
  std::FILE* const file = path == nullptr ? nullptr : std::fopen(path, "re");
  if (file == nullptr) return false;
  char text[512];
  const bool ours =
      std::fgets(text, sizeof text, file) != nullptr && text == "morsel-sim " + target + "\n";
  std::vector<LogEntry> entries;
  while (ours && std::fgets(text, sizeof text, file) != nullptr) {
    if (std::sscanf(text, "pick %" SCNu64, pick) == 1) continue;
    unsigned kind = 0;
    unsigned thread = 0;
    LogEntry entry{};
    if (std::sscanf(text, "log %u %u %u %" SCNx64 " %" SCNx64 " %" SCNx64, &kind, &thread,
                    &entry.what, &entry.words[0], &entry.words[1], &entry.words[2]) == 6) {
      entry.kind = static_cast<LogEntry::Kind>(kind);
      entry.thread = static_cast<uint8_t>(thread);
      entries.push_back(entry);
      continue;
    }
    LineNumber number = 0;
    Line line{};
    if (std::sscanf(text,
                    "line %" SCNu64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
                    " %" SCNx64 " %" SCNx64 " %" SCNx64,
                    &number, &line[0], &line[1], &line[2], &line[3], &line[4], &line[5], &line[6],
                    &line[7]) == 9) {
      (*image)[number] = line;
    }
  }
  std::fclose(file);
  *log = Log::Of(std::move(entries));
  return ours;
}

}  // namespace morsel::sim
