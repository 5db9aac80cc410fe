// What a workload was promised: for each thing that it keeps on the disk, the states in which a
// crash may leave it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace morsel::sim {

inline constexpr char kAbsent[] = "absent";
/// Any state: its maker has not reported yet what it made.
inline constexpr char kNew[] = "new";

/// A state is a digest of every byte, as text. A subject that was never mentioned is absent.
class Promises {
 public:
  /// A call began: after a crash `subject` may be in this state, too.
  void Begin(const std::string& subject, const std::string& state);
  /// From now on `subject` is in this state and no other.
  void Settle(const std::string& subject, const std::string& state);

  /// From now on `subject` is not in this state.
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
