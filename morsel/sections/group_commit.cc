#include "morsel/sections/group_commit.h"

#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/futex.h"

namespace morsel {

void GroupCommit::Queue::Push(Waiting& one) {
  (first == nullptr ? first : last->next) = &one;
  last = &one;
}

GroupCommit::Waiting* GroupCommit::Queue::Pop() {
  if (first == nullptr) return nullptr;
  return std::exchange(first, first->next);
}

Status GroupCommit::Commit(const Lead& lead) {
  Waiting me;
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(is_led_, true)) {
      me.state = kLeads;
    } else {
      waiting_.Push(me);
    }
  }
  while (me.state.load(std::memory_order_acquire) == kWaits) SleepWhile(me.state, kWaits);
  if (me.state.load(std::memory_order_acquire) == kLeads) return DoLead(lead);
  return me.answer.ok() ? me.answer : Fail(me.answer.code(), "%s", me.message.c_str());
}

Status GroupCommit::DoLead(const Lead& lead) {
  Queue served;
  bool has_served = false;
  const auto serve = [&] {
    const std::lock_guard lock(mutex_);
    served = std::exchange(waiting_, {});
    has_served = true;
  };
  const Status answer = lead(serve);
  if (!has_served) serve();
  Waiting* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    next = waiting_.Pop();
    is_led_ = next != nullptr;
  }
  // A thread that is woken returns, and what it waited in is gone.
  const auto wake = [](Waiting& one, uint32_t state) {
    const std::atomic<uint32_t>& word = one.state;
    one.state.store(state, std::memory_order_release);
    WakeAll(word);
  };
  if (next != nullptr) wake(*next, kLeads);
  while (Waiting* const one = served.Pop()) {
    one->answer = answer;
    if (!answer.ok()) one->message = LastError();
    wake(*one, kIsServed);
  }
  return answer;
}

}  // namespace morsel
