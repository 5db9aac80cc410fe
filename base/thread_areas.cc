#include "base/thread_areas.h"

#include <sys/mman.h>

#include <cerrno>
#include <ctime>
#include <limits>
#include <new>

namespace morsel {
namespace {

std::atomic<uint64_t> owners{0};

/// Becomes the one who holds `alive`. Returns false if a thread that is not gone holds it. Who does
/// hold it may be gone without having given the area back: then `owner` still says who that was.
bool TryHold(ThreadArea* area) {
  const int error = pthread_mutex_trylock(&area->alive);
  if (error == EOWNERDEAD) pthread_mutex_consistent(&area->alive);
  return error == 0 || error == EOWNERDEAD;
}

void Begin(ThreadArea* area) {
  area->owner.store(owners.fetch_add(1, std::memory_order_relaxed) + 1, std::memory_order_release);
}

// An area begins at a page, and lies below 2^47.
constexpr unsigned kPageShift = 12;
constexpr unsigned kAddressBits = 47 - kPageShift;

ThreadArea* FirstOf(uint64_t list) {
  const uint64_t page = list & ((uint64_t{1} << kAddressBits) - 1);
  return reinterpret_cast<ThreadArea*>(page << kPageShift);
}
// What the list becomes when it begins with `area`, or, with nullptr, is empty.
uint64_t WithFirst(ThreadArea* area, uint64_t list) {
  return ((list >> kAddressBits) + 1) << kAddressBits |
         reinterpret_cast<uint64_t>(area) >> kPageShift;
}

}  // namespace

ThreadArea* ThreadAreas::Take() {
  // In a child, the parent's areas are empty and tell of no others.
  if (ThreadArea* const first = first_.load(std::memory_order_acquire);
      first != nullptr && first->made.load(std::memory_order_relaxed) == 0) {
    ForgetParents(first);
  }
  ThreadArea* area = TakeLeft();
  if (area == nullptr) area = TakeFree();
  return area != nullptr ? area : Make();
}

void ThreadAreas::ForgetParents(ThreadArea* first) {
  free_.store(0);
  next_look_.store(nullptr);
  first_.compare_exchange_strong(first, nullptr);
}

// Takes one of the next few areas, if its owner is gone without having given it back.
ThreadArea* ThreadAreas::TakeLeft() {
  ThreadArea* area = next_look_.load(std::memory_order_acquire);
  for (int i = 0; i < kLooks; ++i) {
    if (area == nullptr) area = first_.load(std::memory_order_acquire);
    if (area == nullptr) break;
    ThreadArea* const next = area->next;
    if (area->owner.load(std::memory_order_acquire) != 0 && TryHold(area)) {
      if (area->owner.load(std::memory_order_acquire) != 0) {
        next_look_.store(next, std::memory_order_release);
        Begin(area);
        return area;
      }
      pthread_mutex_unlock(&area->alive);  // it was given back just now
    }
    area = next;
  }
  next_look_.store(area, std::memory_order_release);
  return nullptr;
}

ThreadArea* ThreadAreas::TakeFree() {
  uint64_t list = free_.load(std::memory_order_acquire);
  for (;;) {
    ThreadArea* const area = FirstOf(list);
    if (area == nullptr) return nullptr;
    ThreadArea* const next = area->next_free.load(std::memory_order_relaxed);
    if (!free_.compare_exchange_weak(list, WithFirst(next, list), std::memory_order_acq_rel)) {
      continue;
    }
    // TakeLeft() may hold the mutex for a moment, to find that nobody has the area, and takes no
    // other lock then. With a time limit, which never comes, it has no place among the locks that
    // are waited for in an order: its owner holds it to its last instruction.
    constexpr timespec kNever = {std::numeric_limits<time_t>::max(), 0};
    if (pthread_mutex_timedlock(&area->alive, &kNever) == EOWNERDEAD) {
      pthread_mutex_consistent(&area->alive);
    }
    Begin(area);
    return area;
  }
}

ThreadArea* ThreadAreas::Make() {
  // From the kernel, because malloc() may be the program's, and call the library.
  void* const memory =
      mmap(nullptr, area_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (empty_in_child_) (void)madvise(memory, area_bytes_, MADV_WIPEONFORK);
  ThreadArea* const area = new (memory) ThreadArea;
  pthread_mutexattr_t robust;
  pthread_mutexattr_init(&robust);
  pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&area->alive, &robust);
  pthread_mutexattr_destroy(&robust);
  (void)TryHold(area);
  area->made.store(1, std::memory_order_relaxed);
  Begin(area);
  area->next = first_.load(std::memory_order_relaxed);
  while (!first_.compare_exchange_weak(area->next, area, std::memory_order_release,
                                       std::memory_order_relaxed)) {
  }
  return area;
}

bool ThreadAreas::IsStillOf(ThreadArea* area, uint64_t owner) {
  if (area->owner.load(std::memory_order_acquire) != owner) return false;
  if (!TryHold(area)) return area->owner.load(std::memory_order_acquire) == owner;
  // Its number stays, so that TakeLeft() still finds an area that was left.
  pthread_mutex_unlock(&area->alive);
  return false;
}

void ThreadAreas::GiveBack(ThreadArea* area) {
  area->owner.store(0, std::memory_order_release);
  pthread_mutex_unlock(&area->alive);
  uint64_t list = free_.load(std::memory_order_relaxed);
  do {
    area->next_free.store(FirstOf(list), std::memory_order_relaxed);
  } while (!free_.compare_exchange_weak(list, WithFirst(area, list), std::memory_order_release,
                                        std::memory_order_relaxed));
}

}  // namespace morsel
