#include "alloc/heap/threads/thread_ends.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <map>
#include <mutex>

#include "alloc/heap/threads/recent_heap.h"
#include "alloc/heap/threads/thread_slots.h"
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

std::atomic<uint64_t> threads{0};
constexpr uint64_t kEnded = ~uint64_t{0};
thread_local constinit uint64_t number = 0;  // 0: ThreadNumber() was not called yet

void ForgetSlots() {
  recent_heap.Forget();
  for (ThreadSlot& slot : thread_slots) slot.Empty();
}

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

struct AtThreadEnd {
  ~AtThreadEnd() {
    const uint64_t ending = number;
    number = kEnded;
    ForgetSlots();
    ReportEnd(ending);
  }
};

// Another thread of the parent may have had the mutex, and may have been changing what it guards.
// The child begins with listeners of its own, so that a fork does not wait for that mutex.
void InChild() {
  ForgetSlots();
  Listeners* const fresh = new Listeners;
  fresh->parents = TheListeners();
  TheListeners() = fresh;
}

void WatchForks() {
  static const int once = pthread_atfork(nullptr, nullptr, InChild);
  (void)once;
}

}  // namespace

uint64_t ThreadNumber() {
  if (number == kEnded) return 0;
  if (number == 0) {
    static thread_local AtThreadEnd at_thread_end;
    (void)at_thread_end;
    number = threads.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  return number;
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
