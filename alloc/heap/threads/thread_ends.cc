#include "alloc/heap/threads/thread_ends.h"

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace morsel::alloc {

namespace {

struct Registered {
  ThreadEndListener* listener = nullptr;
  uint64_t opening = 0;
  /// How many threads are telling the listener that they end. They do so without the mutex: a
  /// listener waits for its heap, and the thread that has that heap may be in a function of the
  /// program's, which may open another heap or fork. Meanwhile the listener stays.
  unsigned telling = 0;
};

struct Listeners {
  Mutex mutex{LockRank::kThreadEnds};
  Condition told;                ///< a heap has been told of an end
  std::vector<Registered> all;   ///< at its number, less 1
  std::vector<uint32_t> free;    ///< the numbers of `all` that are nobody's
  Listeners* parents = nullptr;  ///< of the process that this one was forked from; not used again

  /// The entry of the heap, or nullptr if it is closed, or a parent's.
  Registered* Find(OpenHeap heap) {
    if (heap.number > all.size()) return nullptr;
    Registered& found = all[heap.number - 1];
    return found.opening == heap.opening ? &found : nullptr;
  }
};
Listeners*& TheListeners() {
  static Listeners* listeners = new Listeners;  // outlives every static of the program
  return listeners;
}

std::atomic<uint64_t> openings{0};

// A raw clone(2) of the process has none of its states either: no handler could take them away.
constinit ThreadAreas states(sizeof(ThreadState), /*empty_in_child=*/true);

// Tells each open heap of which `state` holds a part. Afterwards it holds none.
void ReportEnd(ThreadState& state) {
  Listeners& listeners = *TheListeners();
  while (state.held != 0) {
    const uint32_t number = state.held;
    ThreadSlot& slot = state.Held(number);
    const OpenHeap heap{number, std::exchange(slot.opening, 0)};
    state.held = slot.next;
    std::unique_lock lock(listeners.mutex);
    Registered* const told = listeners.Find(heap);
    if (told == nullptr) continue;
    ++told->telling;
    ThreadEndListener* const listener = told->listener;
    lock.unlock();
    listener->ThreadEnds(*slot.thread_heap);
    lock.lock();
    if (--listeners.Find(heap)->telling == 0) listeners.told.NotifyAll();
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
  ReportEnd(*mine);
  return mine;
}

void EndThread() {
  ThreadState* const mine = my_state;
  if (mine->owner.load(std::memory_order_relaxed) == 0) return;
  mine->Forget();
  ReportEnd(*mine);
  AskForEnd(nullptr);
  my_state = &no_state;
  states.GiveBack(mine);
}

OpenHeap Register(ThreadEndListener* listener) {
  Listeners*& listeners = TheListeners();  // made before a child could look for them
  WatchForks();
  const std::lock_guard lock(listeners->mutex);
  if (listeners->free.empty()) {
    listeners->all.emplace_back();
    listeners->free.reserve(listeners->all.capacity());  // Unregister() needs no memory
    listeners->free.push_back(static_cast<uint32_t>(listeners->all.size()));
  }
  const OpenHeap heap{listeners->free.back(), openings.fetch_add(1) + 1};
  listeners->free.pop_back();
  listeners->all[heap.number - 1] = {listener, heap.opening, 0};
  return heap;
}

void Unregister(OpenHeap heap) {
  Listeners& listeners = *TheListeners();
  std::unique_lock lock(listeners.mutex);
  const Registered* found = listeners.Find(heap);
  if (found == nullptr) return;  // it is a parent's
  for (; found->telling != 0; found = listeners.Find(heap)) listeners.told.Wait(lock);
  listeners.all[heap.number - 1] = {};
  listeners.free.push_back(heap.number);
}

}  // namespace morsel::alloc
