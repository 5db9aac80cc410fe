#include "base/descriptor_floor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include "base/mutex.h"

namespace morsel {
namespace {

constexpr int kFirst = 3;

/// The descriptors that stand in. They are there for all who need them together: one that gave up
/// its own would open the gap for the others.
struct StandIns {
  Mutex mutex{LockRank::kDescriptors};
  int holders = 0;
  bool is_ours[kFirst] = {};

  void Fill() {
    for (;;) {
      // A descriptor of a place, not of a file: no call can read or write through it.
      const int descriptor = open("/", O_PATH | O_CLOEXEC);
      if (descriptor < 0) return;
      if (descriptor >= kFirst) {
        close(descriptor);
        return;
      }
      is_ours[descriptor] = true;
    }
  }

  void Empty() {
    for (int descriptor = 0; descriptor < kFirst; ++descriptor) {
      if (is_ours[descriptor]) close(descriptor);
      is_ours[descriptor] = false;
    }
  }
};

StandIns& AllStandIns() {
  static StandIns* const all = new StandIns;  // outlives every static of the program
  return *all;
}

bool IsClosed(int descriptor) { return fcntl(descriptor, F_GETFD) < 0; }

}  // namespace

DescriptorFloor::DescriptorFloor() : holds_(false) {
  StandIns& all = AllStandIns();
  const std::lock_guard lock(all.mutex);
  holds_ = all.holders > 0 || IsClosed(0) || IsClosed(1) || IsClosed(2);
  if (!holds_) return;
  ++all.holders;
  all.Fill();
}

DescriptorFloor::~DescriptorFloor() {
  if (!holds_) return;
  const int error = errno;  // of the call that this stood around
  StandIns& all = AllStandIns();
  {
    const std::lock_guard lock(all.mutex);
    if (--all.holders == 0) all.Empty();
  }
  errno = error;
}

void DescriptorFloor::BeforeFork() { AllStandIns().mutex.lock(); }

void DescriptorFloor::AfterFork(bool child) {
  StandIns& all = AllStandIns();
  if (child) {
    all.Empty();
    all.holders = 0;
  }
  all.mutex.unlock();
}

}  // namespace morsel
