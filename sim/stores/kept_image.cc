#include "sim/stores/kept_image.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "sim/model/failure.h"

namespace morsel::sim {

std::string Keep(const std::string& target, const KeptImage& kept) {
  const std::string path = PathToKeep(target) + ".image";
  std::FILE* const file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return {};
  std::fprintf(file, "morsel-sim %s\n", target.c_str());
  std::fprintf(file, "pick %" PRIu64 "\n", kept.pick);
  for (const LogEntry& entry : kept.log.entries()) {
    std::fprintf(file, "log %u %u %u %" PRIx64 " %" PRIx64 " %" PRIx64 "\n",
                 static_cast<unsigned>(entry.kind), entry.thread, entry.what, entry.words[0],
                 entry.words[1], entry.words[2]);
  }
  for (const auto& [number, line] : kept.image) {
    std::fprintf(file, "line %" PRIu64, number);
    for (const uint64_t word : line) std::fprintf(file, " %" PRIx64, word);
    std::fprintf(file, "\n");
  }
  return std::fclose(file) == 0 ? path : std::string();
}

bool Replay(const std::string& target, KeptImage* kept) {
  const char* const path = std::getenv("MORSEL_SIM_REPLAY");
  std::FILE* const file = path == nullptr ? nullptr : std::fopen(path, "re");
  if (file == nullptr) return false;
  char text[512];
  const bool ours =
      std::fgets(text, sizeof text, file) != nullptr && text == "morsel-sim " + target + "\n";
  std::vector<LogEntry> entries;
  while (ours && std::fgets(text, sizeof text, file) != nullptr) {
    if (std::sscanf(text, "pick %" SCNu64, &kept->pick) == 1) continue;
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
      kept->image[number] = line;
    }
  }
  std::fclose(file);
  kept->log = Log::Of(std::move(entries));
  return ours;
}

}  // namespace morsel::sim
