#include "os/memory/first_touches.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "base/bits.h"
#include "base/units.h"
#include "os/memory/userfaultfd.h"

namespace morsel::os {
namespace {

constexpr uint64_t kAddressBits = 47;
constexpr uint64_t kPartsMax = (uint64_t{1} << kAddressBits) / FirstTouches::kPartBytes;
constexpr uint64_t kProtection = UFFDIO_REGISTER_MODE_WP;
constexpr uint64_t kProtectionAndTouches = UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING;

bool RegisterRange(int userfaultfd, uint64_t memory, uint64_t size_bytes, uint64_t mode) {
  uffdio_register registered{};
  registered.range = {memory, size_bytes};
  registered.mode = mode;
  return ioctl(userfaultfd, UFFDIO_REGISTER, &registered) == 0;
}

bool RegisterAnew(int userfaultfd, uint64_t memory, uint64_t size_bytes) {
  uffdio_range range = {memory, size_bytes};
  const bool is_done = ioctl(userfaultfd, UFFDIO_UNREGISTER, &range) == 0 &&
                       RegisterRange(userfaultfd, memory, size_bytes, kProtection);
  // Where a fault takes the lock of one mapping alone, its thread may have begun to wait after the
  // kernel woke those of the range.
  (void)ioctl(userfaultfd, UFFDIO_WAKE, &range);
  return is_done;
}

}  // namespace

FirstTouches::FirstTouches() {
  // What is not stored to takes no memory.
  void* const parts = mmap(nullptr, kPartsMax, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (parts != MAP_FAILED) parts_ = static_cast<std::atomic<uint8_t>*>(parts);
}

FirstTouches::~FirstTouches() {
  if (parts_ != nullptr) munmap(parts_, kPartsMax);
}

// Returns false if everything counts as touched.
bool FirstTouches::FindUntouched(const Frames& frames, uint64_t begin) {
  const auto is_private = [](const FrameRun& run) { return run.kind == FrameKind::kAnonymous; };
  const bool may_be = parts_ != nullptr && frames.pagemap().is_open() &&
                      std::all_of(frames.runs().begin(), frames.runs().end(), is_private);
  if (!may_be) return false;
  for (uint64_t at = begin; at < frames.end(); at = AlignDown(at, kPartBytes) + kPartBytes) {
    const uint64_t end = std::min(AlignDown(at, kPartBytes) + kPartBytes, frames.end());
    const Result<bool> has_any = frames.pagemap().HasAny(frames.at(at), frames.at(end));
    if (!has_any) return false;
    if (*has_any) parts_[at / kPartBytes] = 1;
  }
  return true;
}

Status FirstTouches::RegisterParts(int userfaultfd, const Frames& frames, uint64_t begin) {
  for (uint64_t at = begin; at < frames.end();) {
    const bool is_touched = Contains(at);
    uint64_t end = at;
    do {
      end = std::min(AlignDown(end, kPartBytes) + kPartBytes, frames.end());
    } while (end < frames.end() && Contains(end) == is_touched);
    if (!RegisterRange(userfaultfd, reinterpret_cast<uint64_t>(frames.at(at)), end - at,
                       is_touched ? kProtection : kProtectionAndTouches)) {
      return FailErrnoOfMemory("tracking", frames.at(at), end - at);
    }
    at = end;
  }
  return Code::kOk;
}

Status FirstTouches::Register(int userfaultfd, const Frames& frames, uint64_t begin) {
  if (frames.end() <= begin) return Code::kOk;
  base_ = reinterpret_cast<uint64_t>(frames.at(0));
  if (everything_ || !FindUntouched(frames, begin)) {
    // Parts that wait for their first touch do so until it comes.
    everything_ = true;
    return RegisterFrames(userfaultfd, frames, begin);
  }
  end_ = frames.end();
  return RegisterParts(userfaultfd, frames, begin);
}

// To register memory for less does nothing where it is registered for more. So it is taken out
// first, which lets all go on that wait there: what they store meanwhile has no protection, as what
// is written.
//
// ORDER  the part counts as touched  <  the thread that has touched it goes on
// WHY    who collects after its store looks into the part.                              [DRT-1]
// CRASH  nothing of this is on the medium.
// TEST   os/memory/dirty_tracker_test: AStoreIntoAnUntouchedPartIsFound
void FirstTouches::Answer(int userfaultfd, uint64_t address) {
  const uint64_t offset = address - base_;
  const uint64_t part = AlignDown(offset, kPartBytes);
  parts_[offset / kPartBytes] = 1;
  if (RegisterAnew(userfaultfd, base_ + part, std::min(part + kPartBytes, end_.load()) - part)) {
    return;
  }
  // The process has no mapping left: all in one takes fewer. What cannot be registered at all is
  // not protected at the next collecting, which fails.
  everything_ = true;
  (void)RegisterAnew(userfaultfd, base_, end_);
}

}  // namespace morsel::os
