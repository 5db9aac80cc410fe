#include "sim/stores/log.h"

#include <utility>

#include "base/checksum.h"
#include "sim/stores/recorder.h"

namespace morsel::sim {

void Log::Add(LogEntry entry) {
  entry.thread = Recorder::ThisThread();
  entries_.push_back(entry);
  Recorder::Get().NoteLog(entries_.size());
}

Log Log::Of(std::vector<LogEntry> entries) {
  Log log;
  log.entries_ = std::move(entries);
  return log;
}

Log Log::Prefix(uint64_t entries) const {
  Log prefix;
  prefix.entries_.assign(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(entries));
  return prefix;
}

uint64_t Log::Hash() const {
  uint64_t hash = entries_.size();
  for (const LogEntry& entry : entries_) {
    const uint64_t words[] = {hash,           static_cast<uint64_t>(entry.kind),
                              entry.thread,   entry.what,
                              entry.words[0], entry.words[1],
                              entry.words[2]};
    hash = Checksum64(words, sizeof words);
  }
  return hash;
}

}  // namespace morsel::sim
