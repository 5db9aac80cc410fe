#include "os/memory/huge_watch.h"

#include <cstdint>

namespace morsel::os {
namespace {

/// Growing and checkpoints wait while pages are joined.
constexpr uint64_t kJoinsAtOnce = 4;

}  // namespace

void HugeWatch::LookAtAll() {
  const std::lock_guard held(look_mutex_);
  (void)advice_.Look(UINT64_MAX);
  advice_.ForgetHuge();
  ++looks_;
}

bool HugeWatch::Look() {
  const std::lock_guard held(look_mutex_);
  const bool has_changed = advice_.Look(kJoinsAtOnce);
  ++looks_;
  return has_changed;
}

}  // namespace morsel::os
