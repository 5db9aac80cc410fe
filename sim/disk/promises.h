// What a workload was promised: for each thing that it keeps on the disk the states
// in which a crash may leave it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace morsel::sim {

inline constexpr char kAbsent[] = "absent";
/// Whatever is there: its maker has not come to say what it made.
inline constexpr char kNew[] = "new";

/// A state is a digest of every byte, in words. What was never mentioned is absent.
class Promises {
 public:
  /// A call was begun: after a crash `subject` may be in this state too.
  void Begin(const std::string& subject, const std::string& state);
  /// From now on it is in this state, whatever happens.
  void Settle(const std::string& subject, const std::string& state);

  /// From now on it is not in this state.
  void Exclude(const std::string& subject, const std::string& state);

  bool Allows(const std::string& subject, const std::string& state) const;
  const std::map<std::string, std::set<std::string>>& allowed() const { return allowed_; }
  /// "'a' absent or 4 MiB 1f..; "
  std::string InWords() const;
  uint64_t Hash() const;

 private:
  std::map<std::string, std::set<std::string>> allowed_;
};

}  // namespace morsel::sim
