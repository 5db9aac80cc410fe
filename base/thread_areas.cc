#include "base/thread_areas.h"

#include <sys/mman.h>

#include <cerrno>
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

}  // namespace

ThreadArea* ThreadAreas::Take() {
  ThreadArea* first = first_.load(std::memory_order_acquire);
  // In a child, the parent's areas are empty and tell of no others.
  if (first != nullptr && first->made.load(std::memory_order_relaxed) == 0) {
    first_.compare_exchange_strong(first, nullptr);
    first = first_.load(std::memory_order_acquire);
  }
  for (ThreadArea* area = first; area != nullptr; area = area->next) {
    if (!TryHold(area)) continue;
    Begin(area);
    return area;
  }
  return Make();
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

void ThreadAreas::GiveBack(ThreadArea* area) {
  area->owner.store(0, std::memory_order_release);
  pthread_mutex_unlock(&area->alive);
}

bool ThreadAreas::IsGone(ThreadArea* area, uint64_t owner) {
  if (area->owner.load(std::memory_order_acquire) != owner) return true;
  if (!TryHold(area)) return false;
  GiveBack(area);
  return true;
}

}  // namespace morsel
