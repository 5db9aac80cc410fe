// Which parts of frames were ever touched, told by the first fault in each.
//
// Before Linux 6.7 nobody says where in a range there are page tables, and to look at all of a
// large and sparse one takes a second. So parts without a page are registered for missing pages,
// too: the first touch of such a part waits for the thread that answers faults, which notes it and
// registers the part for write protection alone.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/result.h"
#include "os/memory/frames.h"

namespace morsel::os {

/// Of frames that are all private and of small pages. Of others everything counts as touched.
///
/// Threads  Register() and Contains() one at a time; Answer() by the thread that answers faults,
///          meanwhile.
class FirstTouches {
 public:
  /// A touch in a part makes all of it count. Neighbours of one kind are one mapping of the
  /// kernel's.
  static constexpr uint64_t kPartBytes = uint64_t{256} << 20;

  FirstTouches();
  ~FirstTouches();
  FirstTouches(const FirstTouches&) = delete;
  FirstTouches& operator=(const FirstTouches&) = delete;

  /// Registers the frames from offset `begin` on, for write protection and first touches.
  /// Errors  by errno, see FailErrno().
  /// Cost    by the bytes behind `begin`, read in parts.
  Status Register(int userfaultfd, const Frames& frames, uint64_t begin);

  /// Whether there may be a page in the part of the frames that `offset` lies in.
  bool Contains(uint64_t offset) const {
    const bool is_told = !everything_.load() && parts_ != nullptr && offset < end_.load();
    return !is_told || parts_[offset / kPartBytes].load() != 0;
  }

  /// Answers the fault of a thread that has touched a missing page at `address`: lets it go on.
  /// It allocates nothing, and takes no lock.
  void Answer(int userfaultfd, uint64_t address);

 private:
  bool FindUntouched(const Frames& frames, uint64_t begin);
  Status RegisterParts(int userfaultfd, const Frames& frames, uint64_t begin);

  std::atomic<uint8_t>* parts_ = nullptr;  ///< 1: touched; of as many as an address space has
  std::atomic<bool> everything_{false};
  std::atomic<uint64_t> base_{0};
  std::atomic<uint64_t> end_{0};  ///< the frames' end that is registered
};

}  // namespace morsel::os
