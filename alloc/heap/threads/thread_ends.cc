#include "alloc/heap/threads/thread_ends.h"

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <set>

#include "alloc/heap/threads/recent_heap.h"
#include "alloc/heap/threads/thread_slots.h"

namespace morsel::alloc {

namespace {

struct Listeners {
  std::mutex mutex;
  std::set<ThreadEndListener*> all;
};
Listeners& TheListeners() {
  static Listeners* const listeners = new Listeners;  // outlives every static of the program
  return *listeners;
}

std::atomic<uint64_t> threads{0};
constexpr uint64_t kEnded = ~uint64_t{0};
thread_local constinit uint64_t number = 0;  // 0: not asked for yet

void ForgetSlots() {
  recent_heap.Forget();
  for (ThreadSlot& slot : thread_slots) slot.Empty();
}

struct AtThreadEnd {
  ~AtThreadEnd() {
    const uint64_t ending = number;
    number = kEnded;
    ForgetSlots();
    Listeners& listeners = TheListeners();
    const std::lock_guard lock(listeners.mutex);
    for (ThreadEndListener* const listener : listeners.all) listener->ThreadEnds(ending);
  }
};

void WatchForks() {
  static const int once =
      pthread_atfork([] { TheListeners().mutex.lock(); }, [] { TheListeners().mutex.unlock(); },
                     [] {
                       ForgetSlots();
                       TheListeners().all.clear();
                       TheListeners().mutex.unlock();
                     });
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
  WatchForks();
  const std::lock_guard lock(TheListeners().mutex);
  TheListeners().all.insert(listener);
}

void Unregister(ThreadEndListener* listener) {
  const std::lock_guard lock(TheListeners().mutex);
  TheListeners().all.erase(listener);
}

}  // namespace morsel::alloc
