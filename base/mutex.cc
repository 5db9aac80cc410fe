#include "base/mutex.h"

#ifndef NDEBUG

#include <bit>

#include "base/check.h"

namespace morsel {
namespace {

// One bit for each rank that the thread holds. A word has no destructor, so that it is there until
// the thread's last instruction, and a forked child has a copy of it.
[[gnu::tls_model("initial-exec")]] constinit thread_local uint32_t held = 0;

uint32_t BitOf(LockRank rank) { return uint32_t{1} << static_cast<unsigned>(rank); }
LockRank HighestOf(uint32_t ranks) { return static_cast<LockRank>(std::bit_width(ranks) - 1); }

const char* NameOf(LockRank rank) {
  switch (rank) {
    case LockRank::kOpenPool:
      return "OpenPool::mutex_";
    case LockRank::kStoring:
      return "OpenMorsel::storing_mutex_";
    case LockRank::kRoots:
      return "OpenMorsel::roots_mutex_";
    case LockRank::kHeap:
      return "Heap::mutex_";
    case LockRank::kGuard:
      return "Guard::mutex_";
    case LockRank::kCarvedMedium:
      return "CarvedMedium::mutex";
    case LockRank::kSections:
      return "Sections::mutex_";
    case LockRank::kCommits:
      return "GroupCommit::mutex_";
    case LockRank::kImagePages:
      return "ImageBacking::pages_mutex_";
    case LockRank::kMorselInfo:
      return "OpenMorsel::told_mutex_";
    case LockRank::kHugeLook:
      return "HugeWatch::look_mutex_";
    case LockRank::kHugeAdvice:
      return "HugeAdvice::mutex_";
    case LockRank::kWorkers:
      return "Workers::mutex_";
    case LockRank::kThreadEnds:
      return "the mutex of thread ends";
    case LockRank::kForkGate:
      return "the gate for forks";
    case LockRank::kOpened:
      return "the mutex of what is open";
    case LockRank::kFileForks:
      return "the gate for forks of open files";
    case LockRank::kFilesOfProcess:
      return "the mutex of files that children close";
    case LockRank::kAddressRanges:
      return "the mutex of address ranges";
    case LockRank::kBusErrors:
      return "the mutex of bus errors";
    case LockRank::kHugeThread:
      return "HugeThread::mutex_";
    case LockRank::kPmem2Maps:
      return "Pmem2Maps::mutex";
    case LockRank::kDenseMemory:
      return "the mutex of dense memory";
    case LockRank::kDescriptors:
      return "the mutex of standard descriptors";
  }
  return "a mutex without a rank";
}

void CheckMayTake(LockRank rank) {
  if (held < BitOf(rank)) [[likely]]
    return;
  Die("a thread that holds %s takes %s: base/mutex.h lists them in the only order that is allowed",
      NameOf(HighestOf(held)), NameOf(rank));
}

}  // namespace

void Mutex::lock() {
  CheckMayTake(rank_);
  mutex_.lock();
  held |= BitOf(rank_);
}

bool Mutex::try_lock() {
  CheckMayTake(rank_);
  if (!mutex_.try_lock()) return false;
  held |= BitOf(rank_);
  return true;
}

void Mutex::unlock() {
  held &= ~BitOf(rank_);
  mutex_.unlock();
}

OutsideCall::OutsideCall() : held_before_(held) {
  constexpr LockRank kLast = LockRank::kCarvedMedium;
  if (held >= BitOf(kLast) << 1) {
    Die("a thread calls the program while it holds %s: only a pool's own mutexes may be held then",
        NameOf(HighestOf(held)));
  }
  held = 0;
}

OutsideCall::~OutsideCall() { held = held_before_; }

}  // namespace morsel

#endif
