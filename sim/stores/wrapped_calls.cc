// Library calls that store without a hook. The linker sends them here (--wrap).
#include <sys/mman.h>

#include <cstdarg>
#include <cstddef>

#include "sim/stores/hooks.h"

using namespace morsel::sim;

namespace {

// What was stored is recorded at once, since it is there when the call returns.
template <class Call>
inline void* Storing(void* address, size_t size_bytes, const void* pc, Call call) {
  if (!Hooked()) return call();
  BeginHook();
  void* const result = call();
  const uintptr_t begin = reinterpret_cast<uintptr_t>(address);
  if (begin - hook_bounds.low < hook_bounds.extent_bytes) {
    Recorder::Get().Stored(address, size_bytes, pc);
  }
  return result;
}

}  // namespace

extern "C" {

void* __real_memcpy(void* to, const void* from, size_t size_bytes);
void* __real_memmove(void* to, const void* from, size_t size_bytes);
void* __real_memset(void* to, int value, size_t size_bytes);

void* __wrap_memcpy(void* to, const void* from, size_t size_bytes) {
  return Storing(to, size_bytes, __builtin_return_address(0),
                 [=] { return __real_memcpy(to, from, size_bytes); });
}
void* __wrap_memmove(void* to, const void* from, size_t size_bytes) {
  return Storing(to, size_bytes, __builtin_return_address(0),
                 [=] { return __real_memmove(to, from, size_bytes); });
}
void* __wrap_memset(void* to, int value, size_t size_bytes) {
  return Storing(to, size_bytes, __builtin_return_address(0),
                 [=] { return __real_memset(to, value, size_bytes); });
}
// The names that clang gives these calls in code with hooks.
void* __tsan_memcpy(void* to, const void* from, size_t size_bytes) {
  return Storing(to, size_bytes, __builtin_return_address(0),
                 [=] { return __real_memcpy(to, from, size_bytes); });
}
void* __tsan_memmove(void* to, const void* from, size_t size_bytes) {
  return Storing(to, size_bytes, __builtin_return_address(0),
                 [=] { return __real_memmove(to, from, size_bytes); });
}
void* __tsan_memset(void* to, int value, size_t size_bytes) {
  return Storing(to, size_bytes, __builtin_return_address(0),
                 [=] { return __real_memset(to, value, size_bytes); });
}

}  // extern "C"
