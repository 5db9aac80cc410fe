#include "alloc/heap/threads/thread_state.h"

#include <sys/mman.h>

namespace morsel::alloc {

constinit ThreadState no_state{};
constinit ThreadSlot no_slot;
[[gnu::tls_model("initial-exec")]] constinit thread_local ThreadState* my_state = &no_state;

ThreadSlot* ThreadState::MakeSlot(SlotPlace place) {
  ThreadSlot*& table = tables[place.table];
  if (table == nullptr && place.table == 0) table = first_slots;
  if (table == nullptr) {
    // As the state itself: it is from the kernel, and a child begins without it.
    const size_t bytes = SlotPlace::SlotsIn(place.table) * sizeof(ThreadSlot);
    void* const memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    (void)madvise(memory, bytes, MADV_WIPEONFORK);
    table = static_cast<ThreadSlot*>(memory);
  }
  return table + place.index;
}

void ThreadState::Forget() {
  recent.Forget();
  recent.Leave();
  for (uint32_t number = held; number != 0;) {
    ThreadSlot& slot = Held(number);
    slot.Empty();
    slot.Leave();
    number = slot.next;
  }
}

}  // namespace morsel::alloc
