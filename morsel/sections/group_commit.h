// Commits of several threads in one.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/mutex.h"
#include "base/result.h"

namespace morsel {

/// Whoever comes first leads: it stores for all that wait. Who comes while it does so waits for the
/// next one, which leads then.
///
/// Threads  any.
class GroupCommit {
 public:
  /// Stores. It calls the function that it is given once it is sure that all that the callers of
  /// Commit() have done until then will be stored: they get its answer.
  using Lead = std::function<Status(const std::function<void()>& serve)>;

  /// Returns what a call of `lead` returned that began to store after this call began. It is this
  /// thread's own, or another's. If it fails before it has served, all that wait get its answer.
  Status Commit(const Lead& lead);

 private:
  enum : uint32_t { kWaits, kLeads, kIsServed };
  struct Waiting {
    std::atomic<uint32_t> state{kWaits};
    Status answer{};
    std::string message{};
    Waiting* next = nullptr;
  };
  struct Queue {
    Waiting* first = nullptr;
    Waiting* last = nullptr;
    void Push(Waiting& one);
    Waiting* Pop();
  };
  Status DoLead(const Lead& lead);

  Mutex mutex_{LockRank::kCommits};
  bool is_led_ = false;
  Queue waiting_;
};

}  // namespace morsel
