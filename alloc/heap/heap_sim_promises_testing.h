// What the log of the heap's target says: which object may hang in which slot, and
// how much may be allocated that hangs nowhere.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "sim/stores/log.h"

namespace morsel::alloc {

enum HeapNote : uint32_t {
  kMade,       ///< object, bytes: allocated or about to be, linked nowhere; class + 1, 0: an extent
  kMayHold,    ///< slot, object
  kHolds,      ///< slot, object
  kFreed,      ///< object: free has returned
  kSettling,   ///< what was freed before does not come back once this is followed by
  kSettled,    ///< that
  kRecovered,  ///< there was a crash: what was freed and not settled may be there for good
};

class HeapPromises {
 public:
  /// `prepared`: of what the first life found.
  HeapPromises(const sim::Log& prepared, const sim::Log& log, uint64_t slots);

  /// What a slot may hold: the last object that is promised, or one that came since; 0: none.
  const std::vector<uint64_t>& MayHold(uint64_t slot) const { return holds_[slot]; }

  /// Bytes that may be allocated and hang nowhere: objects, and what threads have taken ahead to
  /// hand out. `settled`: everything that was freed was settled since, nothing is at hand, and no
  /// crash came.
  uint64_t UnlinkedBytesMax(bool settled) const;

  uint64_t last_object() const { return objects_.empty() ? 0 : objects_.rbegin()->first; }

 private:
  enum class State { kUnlinked, kLinked, kFreed, kSettling, kGone };
  struct Object {
    uint64_t bytes = 0;
    State state = State::kUnlinked;
  };

  void Read(const sim::Log& log);
  void Replace(State from, State to);
  void Hold(uint64_t slot, uint64_t object);
  uint64_t AheadBytesMax() const;

  std::vector<std::vector<uint64_t>> holds_;
  std::map<uint64_t, Object> objects_;
  std::set<std::pair<int, unsigned>> used_;  ///< threads, and the classes that they have used
  uint64_t ahead_before_ = 0;                ///< bytes, at most, when a crash came
};

}  // namespace morsel::alloc
