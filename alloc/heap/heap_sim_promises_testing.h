// What the log of the heap's target (HeapTarget) says: which object may hang in which
// slot, and how much may be allocated that hangs in none.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "sim/stores/log.h"

namespace morsel::alloc {

enum HeapNote : uint32_t {
  kMade,       ///< object, bytes, class + 1 (0: an extent): is allocated or will be, hangs nowhere
  kMayHold,    ///< slot, object: the slot will hold it
  kHolds,      ///< slot, object: the slot holds it for certain
  kFreed,      ///< object: free has returned
  kSettling,   ///< what was freed before this does not come back once kSettled follows
  kSettled,    ///< all frees before kSettling are flushed
  kRecovered,  ///< there was a crash: what was freed and not flushed may stay allocated for good
};

class HeapPromises {
 public:
  /// `prepared`: the log of what Prepare() has made. `log`: what came after that.
  HeapPromises(const sim::Log& prepared, const sim::Log& log, uint64_t slots);

  /// The objects that a slot may hold: the last one that it held for certain, and those that it may
  /// have got since. 0: none.
  const std::vector<uint64_t>& MayHold(uint64_t slot) const { return holds_[slot]; }

  /// How many bytes may be allocated and hang nowhere: objects, and blocks in the magazines of
  /// threads. `settled`: since then all frees were flushed, no magazine has a block, and no crash
  /// came.
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
  std::set<std::pair<int, unsigned>> used_;  ///< threads with the classes that they have used
  uint64_t ahead_before_ = 0;                ///< bytes, at most, in magazines when crashes came
};

}  // namespace morsel::alloc
