// Pages are write-protected, and a thread of ours answers the first store to each.
//
// That thread only takes the page's protection away. Nothing has to be remembered, however many
// pages are written, since the page tables tell which pages have no protection. The thread
// allocates nothing and takes no lock, because the thread that waits for it may hold any lock.
// Signals are blocked in it, so that no handler of the program runs there.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "base/bits.h"
#include "base/descriptor.h"
#include "base/descriptor_floor.h"
#include "base/error.h"
#include "base/quiet_threads.h"
#include "base/units.h"
#include "os/memory/first_touches.h"
#include "os/memory/open_dirty_tracker.h"
#include "os/memory/page_runs.h"
#include "os/memory/pagemap.h"
#include "os/memory/userfaultfd.h"

namespace morsel::os {
namespace {

int SetProtection(int faults, uint64_t memory, uint64_t size_bytes, uint64_t mode) {
  uffdio_writeprotect protect{};
  protect.range = {memory, size_bytes};
  protect.mode = mode;
  int result;
  do {
    result = ioctl(faults, UFFDIO_WRITEPROTECT, &protect);
  } while (result != 0 && errno == EAGAIN);  // another thread is changing mappings
  return result;
}

// Takes the protection of the page at `address` away. In any case the thread that waits goes on: if
// the memory was unmapped meanwhile, its store fails as it would without us.
void LetWrite(int faults, uint64_t address) {
  for (const uint64_t unit : {kPageBytes, kSubtreeBytes, kGiantBytes}) {
    const uint64_t page = address & ~(unit - 1);
    if (SetProtection(faults, page, unit, 0) == 0) return;
    if (errno != EINVAL) break;  // EINVAL: a page of hugetlb must be named whole
  }
  uffdio_range range = {address & ~(kPageBytes - 1), kPageBytes};
  (void)ioctl(faults, UFFDIO_WAKE, &range);
}

struct TrackedRange {
  uint64_t offset;
  uint64_t size_bytes;
};

class FaultTracker final : public DirtyTracker {
 public:
  // Takes over both descriptors.
  FaultTracker(int faults, int end) : faults_(faults), end_(end), process_(getpid()) {}
  ~FaultTracker() override;
  const char* method() const override { return "fault"; }

  // Returns 0, or the errno of a failure.
  int StartThread();

  Status Track(const Frames& frames, uint64_t begin) override;
  Result<bool> Collect(const Frames& frames, PageSet& pages) override;

 private:
  static void* Run(void* faulting);
  static TrackedRange FramesOf(const FrameRun& run, uint64_t offset, uint64_t size_bytes);
  Status Protect(const Frames& frames, TrackedRange extent) const;
  template <class Visit>
  Status ForEachTouched(const Frames& frames, uint64_t begin, const Visit& visit) const;
  Result<PageSet::Pages> Written(const Frames& frames, const FrameRun& run,
                                 SubtreePosition position) const;

  Descriptor faults_;
  Descriptor end_;
  pid_t process_;
  FirstTouches touches_;
  pthread_t thread_{};
  bool has_thread_ = false;
  uffdio_range tracked_{};
};

// Unregisters the memory, so that threads which wait for an answer go on. It is not enough to close
// the descriptor: a forked child may have it, too, and then stores would still wait.
FaultTracker::~FaultTracker() {
  if (process_ == getpid()) {  // a child has neither the memory nor the thread
    if (tracked_.len != 0) (void)ioctl(faults_.number(), UFFDIO_UNREGISTER, &tracked_);
    if (has_thread_) {
      // Where the program has closed the descriptor, the thread waits for what never comes.
      if (eventfd_write(end_.number(), 1) != 0) pthread_cancel(thread_);
      pthread_join(thread_, nullptr);
    }
  }
}

int FaultTracker::StartThread() {
  const QuietThreads quiet;
  const int error = pthread_create(&thread_, nullptr, &Run, this);
  has_thread_ = error == 0;
  return error;
}

void* FaultTracker::Run(void* faulting) {
  auto& self = *static_cast<FaultTracker*>(faulting);
  for (;;) {
    std::array<pollfd, 2> wait = {
        {{self.faults_.number(), POLLIN, 0}, {self.end_.number(), POLLIN, 0}}};
    const int ready = poll(wait.data(), wait.size(), -1);
    // Once the program has closed the descriptor the kernel lets all go on that wait for an answer,
    // and nothing is tracked any more.
    const int faults = self.faults_.number();
    if (faults < 0) return nullptr;
    if (ready < 0) continue;
    std::array<uffd_msg, 16> messages;
    const ssize_t got = read(faults, messages.data(), sizeof messages);
    for (ssize_t i = 0; i < got / static_cast<ssize_t>(sizeof messages[0]); ++i) {
      const uffd_msg& message = messages[static_cast<size_t>(i)];
      if (message.event != UFFD_EVENT_PAGEFAULT) continue;
      const auto& fault = message.arg.pagefault;
      if ((fault.flags & UFFD_PAGEFAULT_FLAG_WP) != 0) {
        LetWrite(faults, fault.address);
      } else {
        self.touches_.Answer(faults, fault.address);
      }
    }
    if ((wait[1].revents & POLLIN) != 0) return nullptr;
  }
}

// [offset, offset + size_bytes) of the run, widened to whole frames. The page tables of one frame
// are read in several pieces, between which it may have been written.
TrackedRange FaultTracker::FramesOf(const FrameRun& run, uint64_t offset, uint64_t size_bytes) {
  const uint64_t frame_bytes = FrameBytes(run.kind);
  const uint64_t begin = AlignDown(offset - run.offset, frame_bytes);
  const uint64_t end = AlignUp(offset + size_bytes - run.offset, frame_bytes);
  return {run.offset + begin, end - begin};
}

Status FaultTracker::Protect(const Frames& frames, TrackedRange extent) const {
  if (SetProtection(faults_.number(), reinterpret_cast<uint64_t>(frames.at(extent.offset)),
                    extent.size_bytes, UFFDIO_WRITEPROTECT_MODE_WP) == 0) {
    return Code::kOk;
  }
  return FailErrnoOfMemory("protecting", frames.at(extent.offset), extent.size_bytes);
}

Status FaultTracker::Track(const Frames& frames, uint64_t begin) {
  tracked_ = {reinterpret_cast<uint64_t>(frames.at(0)),
              std::max<uint64_t>(tracked_.len, frames.end())};
  MORSEL_TRY(touches_.Register(faults_.number(), frames, begin));
  return ForEachTouched(frames, begin, [&](const FrameRun& run, uint64_t from, uint64_t to) {
    return ForEachRun(
        from, to,
        [&](SubtreePosition position) -> Result<PageSet::Pages> { return frames.Of(position); },
        [&](uint64_t offset, uint64_t size_bytes) {
          return Protect(frames, FramesOf(run, offset, size_bytes));
        });
  });
}

// Calls visit(run, from, to) for what of the frames behind `begin` may have pages.
template <class Visit>
Status FaultTracker::ForEachTouched(const Frames& frames, uint64_t begin,
                                    const Visit& visit) const {
  for (const FrameRun& run : frames.runs()) {
    for (uint64_t at = std::max(begin, run.offset); at < run.end();) {
      const uint64_t next = AlignDown(at, FirstTouches::kPartBytes) + FirstTouches::kPartBytes;
      const uint64_t end = std::min(next, run.end());
      if (touches_.Contains(at)) MORSEL_TRY(visit(run, at, end));
      at = end;
    }
  }
  return Code::kOk;
}

// A page is added to the set before it is protected, since a protected page is not found again. So
// it is in the set also if protecting it fails, or if it is written in between.          [DRT-1]
Result<bool> FaultTracker::Collect(const Frames& frames, PageSet& pages) {
  MORSEL_TRY(ForEachTouched(frames, 0, [&](const FrameRun& run, uint64_t from, uint64_t to) {
    return ForEachRun(
        from, to, [&](SubtreePosition position) { return Written(frames, run, position); },
        [&](uint64_t offset, uint64_t size_bytes) {
          const TrackedRange extent = FramesOf(run, offset, size_bytes);
          pages.Add(extent.offset, extent.size_bytes);
          return Protect(frames, extent);
        });
  }));
  return true;
}

// The pages that were touched and have no protection: they lost it to a store, or are new.
Result<PageSet::Pages> FaultTracker::Written(const Frames& frames, const FrameRun& run,
                                             SubtreePosition position) const {
  const Result<Pagemap::Subtree> subtree =
      frames.pagemap().Read(frames.at(position.value() * kSubtreeBytes));
  if (!subtree) return subtree.status();
  // A page of a memory file may have left the page table since it was written.
  const PageSet::Pages touched = IsMemoryFile(run.kind) ? frames.Of(position) : subtree->populated;
  return touched & ~subtree->protected_from_writes;
}

}  // namespace

std::unique_ptr<DirtyTracker> OpenFaultTracker() {
  // Without UFFD_USER_MODE_ONLY, since system calls such as read(2) store to the frames, too.
  const int faults = OpenUserfaultfd(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
  if (faults < 0) return nullptr;
  const KeepLastError keep;
  // The frames have one of their own. Where it cannot be opened there is no tracking.
  const bool has_pagemap = Pagemap::Open().has_value();
  const DescriptorFloor floor;
  const int end = eventfd(0, EFD_CLOEXEC);
  if (!has_pagemap || end < 0) {
    const int error = has_pagemap ? errno : EACCES;
    if (end >= 0) close(end);
    close(faults);
    errno = error;
    return nullptr;
  }
  auto faulting = std::make_unique<FaultTracker>(faults, end);
  const int error = faulting->StartThread();
  if (error == 0) return faulting;
  faulting.reset();
  errno = error;
  return nullptr;
}

}  // namespace morsel::os
