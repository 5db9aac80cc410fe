// The promises of a workload. Every entry has its place among the stores of the run, so that an
// image is compared with exactly what had been promised when the crash came.
#pragma once

#include <cstdint>
#include <vector>

namespace morsel::sim {

struct LogEntry {
  enum class Kind : uint8_t {
    kBegan,     ///< operation `what` began: its effect may be found from now on
    kReturned,  ///< it returned: its promises must hold from now on
    kNoted,     ///< the target's own; `what` and `words` mean what it likes
  };
  Kind kind;
  uint8_t thread;
  uint32_t what;
  uint64_t words[3];
};

/// Threads  one at a time; under the scheduler, the thread whose turn it is.
class Log {
 public:
  void Began(uint32_t operation) { Add({LogEntry::Kind::kBegan, 0, operation, {}}); }
  void Returned(uint32_t operation) { Add({LogEntry::Kind::kReturned, 0, operation, {}}); }
  void Note(uint32_t what, uint64_t first = 0, uint64_t second = 0, uint64_t third = 0) {
    Add({LogEntry::Kind::kNoted, 0, what, {first, second, third}});
  }

  const std::vector<LogEntry>& entries() const { return entries_; }

  /// A log that was kept in a file.
  static Log Of(std::vector<LogEntry> entries);

  /// The log as it was when it had this many entries.
  Log Prefix(uint64_t entries) const;
  uint64_t Hash() const;

 private:
  void Add(LogEntry entry);

  std::vector<LogEntry> entries_;
};

}  // namespace morsel::sim
