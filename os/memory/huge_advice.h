// Says of private frames where the kernel may use huge pages: where memory is used densely.
//
// A huge page is there as a whole from its first touch on, so that of a large block of which little
// is used a huge page each would be 512 times what is used. And 4 KiB at a time, the first touch of
// a large block takes four times as long. So memory of which nobody can say how it will be used
// begins with small pages, and is looked at again and again. Where pages side by side were touched,
// the memory that follows gets huge pages before it is touched, seven times as much as was seen.
// What was touched in small pages becomes huge when all of it is there.
//
// docs/decisions/0017 says why.
#pragma once

#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "os/memory/frames.h"
#include "os/memory/range_set.h"

namespace morsel::os {

/// [HUG-1] Of memory that is watched, what has huge pages and was never looked at since is at most
///         seven times what lies before it and was seen to be used densely, or to have such memory
///         on both sides.
/// [HUG-2] The advice of all morsels of the process has no more than kBordersMax borders: each is a
///         mapping of the process, of which it may have 65,530 by default. What would have more
///         stays as it is.
///
/// All offsets are of the frames. Without private frames, or where the host gives private memory no
/// huge pages, nothing here does anything.
///
/// Ownership  the frames outlive it.
/// Threads    any. Look(), See() and Act() are one call at a time, and no Resize() of the frames
///            meanwhile. The other calls do not wait for them.
class HugeAdvice {
 public:
  /// All that is there and was touched keeps its huge pages.
  explicit HugeAdvice(const Frames& frames);
  ~HugeAdvice();
  HugeAdvice(const HugeAdvice&) = delete;
  HugeAdvice& operator=(const HugeAdvice&) = delete;

  /// The frames end elsewhere than when they had `before` bytes.
  void Resized(uint64_t before);
  /// The memory went back to the host. What was said of it counts no more.
  void GaveBack(uint64_t offset, uint64_t size_bytes);

  /// The range will be used all over: it gets huge pages at the first touch.
  void ExpectDense(uint64_t offset, uint64_t size_bytes);
  /// Nobody knows how the range will be used. Returns how many bytes are watched now that were not.
  uint64_t ExpectAnything(uint64_t offset, uint64_t size_bytes);

  /// What was touched of what is watched.
  struct Seen;
  /// Cost  by what was touched.
  Seen See() const;
  /// Gives advice by it, unless memory went away since. At most `joins_max` times 2 MiB of small
  /// pages become huge. Returns whether something has changed since the last call.
  bool Act(const Seen& seen, uint64_t joins_max);
  bool Look(uint64_t joins_max);

  /// What became huge is watched no more.
  void ForgetHuge();

  bool has_something_to_watch() const;
  static constexpr uint64_t kBordersMax = 8192;

 private:
  struct Touched {
    uint64_t offset;  ///< of a subtree that is not huge
    uint64_t pages;
  };
  /// Of one range that is watched.
  struct SeenRange {
    uint64_t end;
    std::vector<Touched> touched;
  };

  // Called with the mutex held.
  void BeHuge(uint64_t begin, uint64_t end);
  void BeSmall(uint64_t begin, uint64_t end);
  void CountBorders();
  void Forget(uint64_t begin, uint64_t end);
  bool Advise(const SeenRange& seen);
  void TakeFull(const SeenRange& seen, uint64_t count_max, std::vector<uint64_t>& full);

  const Frames& frames_;
  bool is_on_;
  uint64_t pages_ = 0;  ///< Seen::pages at the last Act()

  mutable Mutex mutex_{LockRank::kHugeAdvice};  ///< guards what follows
  RangeSet huge_;                               ///< the kernel may use huge pages here
  RangeSet watched_;                            ///< handed out in small pages
  uint64_t borders_ = 0;                        ///< how many of the process' are this one's
  uint64_t losses_ = 0;                         ///< how often memory went away
  /// Where the last advice ended because nothing behind was handed out yet, and how much more it
  /// would have been.
  uint64_t ahead_ = 0;
  uint64_t ahead_bytes_ = 0;
};

struct HugeAdvice::Seen {
  uint64_t losses = 0;
  uint64_t pages = 0;  ///< huge ones, too
  std::vector<SeenRange> ranges;
};

inline bool HugeAdvice::Look(uint64_t joins_max) { return Act(See(), joins_max); }

}  // namespace morsel::os
