// What a workload promised. Every entry has its place among the stores of the run,
// so that an image is held against what had been said when the crash came, and
// nothing more.
#pragma once

#include <cstdint>
#include <vector>

namespace morsel::sim {

struct LogEntry {
  enum class Kind : uint8_t {
    kBegan,     ///< the operation `what` was begun: what it does may be found from now on
    kReturned,  ///< it returned: what it promises must be found from now on
    kNoted,     ///< whatever else the target wants to know, `what` and `words` are its own
  };
  Kind kind;
  uint8_t thread;
  uint32_t what;
  uint64_t words[3];
};

/// Threads  one at a time; under the scheduler, whose turn it is.
class Log {
 public:
  void Began(uint32_t operation) { Add({LogEntry::Kind::kBegan, 0, operation, {}}); }
  void Returned(uint32_t operation) { Add({LogEntry::Kind::kReturned, 0, operation, {}}); }
  void Note(uint32_t what, uint64_t first = 0, uint64_t second = 0, uint64_t third = 0) {
    Add({LogEntry::Kind::kNoted, 0, what, {first, second, third}});
  }

  const std::vector<LogEntry>& entries() const { return entries_; }

  /// One that was kept.
  static Log Of(std::vector<LogEntry> entries);

  /// The log as it was when it had so many entries.
  Log Prefix(uint64_t entries) const;
  uint64_t Hash() const;

 private:
  void Add(LogEntry entry);

  std::vector<LogEntry> entries_;
};

}  // namespace morsel::sim
