// The functions that the compiler calls before each access to memory, in place of ThreadSanitizer's
// own runtime. This file is compiled without hooks.
#include <cstdlib>

#include "base/check.h"
#include "sim/stores/hooks.h"

namespace morsel::sim {
namespace {

// Most hooks are this one. Nothing is pending while nothing is recorded.
inline void OnRead() {
  if (__builtin_expect(hook_state.pending_bytes != 0, 0)) RecordPending();
}

inline void OnEntry() {
  if (Hooked()) BeginHook();
}

inline void OnWrite(const void* address, size_t size_bytes, const void* pc) {
  if (!Hooked()) return;
  BeginHook();
  if (!MayBeWatched(address) || size_bytes == 0) return;
  hook_state.pending = address;
  hook_state.pending_bytes = size_bytes;
  hook_state.pending_pc = pc;
}

}  // namespace
}  // namespace morsel::sim

using morsel::sim::OnEntry;
using morsel::sim::OnRead;
using morsel::sim::OnWrite;

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) { OnEntry(); }
void __tsan_func_exit() { OnRead(); }

#define MORSEL_SIM_READ(name) \
  void name(void*) { OnRead(); }
#define MORSEL_SIM_WRITE(name, size) \
  void name(void* address) { OnWrite(address, size, __builtin_return_address(0)); }

#define MORSEL_SIM_ACCESSES(size)                     \
  MORSEL_SIM_READ(__tsan_read##size)                  \
  MORSEL_SIM_READ(__tsan_volatile_read##size)         \
  MORSEL_SIM_WRITE(__tsan_write##size, size)          \
  MORSEL_SIM_WRITE(__tsan_volatile_write##size, size) \
  MORSEL_SIM_WRITE(__tsan_read_write##size, size)
MORSEL_SIM_ACCESSES(1)
MORSEL_SIM_ACCESSES(2)
MORSEL_SIM_ACCESSES(4)
MORSEL_SIM_ACCESSES(8)
MORSEL_SIM_ACCESSES(16)

#define MORSEL_SIM_UNALIGNED(size)                              \
  MORSEL_SIM_READ(__tsan_unaligned_read##size)                  \
  MORSEL_SIM_READ(__tsan_unaligned_volatile_read##size)         \
  MORSEL_SIM_WRITE(__tsan_unaligned_write##size, size)          \
  MORSEL_SIM_WRITE(__tsan_unaligned_volatile_write##size, size) \
  MORSEL_SIM_WRITE(__tsan_unaligned_read_write##size, size)
MORSEL_SIM_UNALIGNED(2)
MORSEL_SIM_UNALIGNED(4)
MORSEL_SIM_UNALIGNED(8)
MORSEL_SIM_UNALIGNED(16)

void __tsan_read_range(void*, size_t) { OnRead(); }
void __tsan_write_range(void* address, size_t size_bytes) {
  OnWrite(address, size_bytes, __builtin_return_address(0));
}

void __tsan_vptr_read(void**) { OnRead(); }
void __tsan_vptr_update(void** address, void*) {
  OnWrite(address, sizeof *address, __builtin_return_address(0));
}

}  // extern "C"
