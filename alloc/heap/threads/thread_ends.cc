#include "alloc/heap/threads/thread_ends.h"

#include <pthread.h>
#include <sched.h>

#include <map>
#include <mutex>
#include <optional>

#include "base/mutex.h"

namespace morsel::alloc {

namespace {

// How many threads are telling a listener that they end. They do so without the mutex: a listener
// waits for its heap, and the thread that has that heap may be in a function of the program's,
// which may open another heap or fork.
using Telling = unsigned;

struct Listeners {
  Mutex mutex{LockRank::kThreadEnds};
  std::map<ThreadEndListener*, Telling> all;
  Listeners* parents = nullptr;  ///< of the process that this one was forked from; not used again
};
Listeners*& TheListeners() {
  static Listeners* listeners = new Listeners;  // outlives every static of the program
  return listeners;
}

// A raw clone(2) of the process has none of its states either: no handler could take them away.
constinit ThreadAreas states(sizeof(ThreadState), /*empty_in_child=*/true);

void ReportEnd(uint64_t ending) {
  Listeners& listeners = *TheListeners();
  std::unique_lock lock(listeners.mutex);
  for (auto& [listener, telling] : listeners.all) {
    ++telling;  // the listener stays where it is until nobody tells it
    lock.unlock();
    listener->ThreadEnds(ending);
    lock.lock();
    --telling;
  }
}

void AtThreadEnd(void* state) {
  if (my_state == state) EndThread();  // if not, it is a parent's
}

// Has AtThreadEnd() called when this thread ends; nullptr: has it not called. It may be too late
// for a call already, and there may be no more keys: a heap finds out by itself that a thread is
// gone.
void AskForEnd(ThreadState* state) {
  static const std::optional<pthread_key_t> key = []() -> std::optional<pthread_key_t> {
    pthread_key_t made;
    if (pthread_key_create(&made, AtThreadEnd) != 0) return std::nullopt;
    return made;
  }();
  if (key) (void)pthread_setspecific(*key, state);
}

// Another thread of the parent may have had the mutex, and may have been changing what it guards.
// The child begins with listeners of its own, so that a fork does not wait for that mutex.
void InChild() {
  my_state = &no_state;
  Listeners* const fresh = new Listeners;
  fresh->parents = TheListeners();
  TheListeners() = fresh;
}

void WatchForks() {
  static const int once = pthread_atfork(nullptr, nullptr, InChild);
  (void)once;
}

}  // namespace

ThreadState* MyState() {
  if (my_state->owner.load(std::memory_order_relaxed) != 0) return my_state;
  ThreadArea* const area = states.Take();
  if (area == nullptr) return nullptr;
  ThreadState* const mine = static_cast<ThreadState*>(area);
  // A thread that is gone may have left its slots filled, and a new state has no key.
  mine->Forget();
  my_state = mine;
  AskForEnd(mine);
  return mine;
}

void EndThread() {
  ThreadState* const mine = my_state;
  const uint64_t ending = mine->owner.load(std::memory_order_relaxed);
  if (ending == 0) return;
  mine->Forget();
  ReportEnd(ending);
  AskForEnd(nullptr);
  my_state = &no_state;
  ThreadAreas::GiveBack(mine);
}

void Register(ThreadEndListener* listener) {
  Listeners*& listeners = TheListeners();  // made before a child could look for them
  WatchForks();
  const std::lock_guard lock(listeners->mutex);
  listeners->all.emplace(listener, 0);
}

void Unregister(ThreadEndListener* listener) {
  Listeners& listeners = *TheListeners();
  std::unique_lock lock(listeners.mutex);
  const auto found = listeners.all.find(listener);
  if (found == listeners.all.end()) return;  // it is a parent's
  while (found->second != 0) {
    lock.unlock();
    sched_yield();
    lock.lock();
  }
  listeners.all.erase(found);
}

}  // namespace morsel::alloc
