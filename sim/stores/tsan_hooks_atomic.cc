// Atomic operations, which the compiler leaves to the runtime. At each of them the scheduler may
// let another thread run. Each is indivisible, because one thread runs at a time.
#include "sim/stores/hooks.h"
#include "sim/stores/scheduler.h"

namespace morsel::sim {
namespace {

using Bits8 = unsigned char;
using Bits16 = unsigned short;
using Bits32 = unsigned int;
using Bits64 = unsigned long;
__extension__ using Bits128 = unsigned __int128;

// Runs `operation` between the two halves of the hook. What it changes is recorded at once.
template <class Operation>
inline auto Atomic(const volatile void* address, size_t size_bytes, const void* pc,
                   Operation operation) {
  const void* const at = const_cast<const void*>(address);
  if (!Hooked()) return operation();
  BeginHook();
  Scheduler::SwitchPoint();
  const auto result = operation();
  if (MayBeWatched(at)) Recorder::Get().Stored(at, size_bytes, pc);
  return result;
}

// Wide operations have no instruction on every processor; outside of a run other
// threads may be in them too.
bool wide_taken = false;
template <class Operation>
inline auto Wide(Operation operation) {
  while (__atomic_test_and_set(&wide_taken, __ATOMIC_ACQUIRE)) {
  }
  const auto result = operation();
  __atomic_clear(&wide_taken, __ATOMIC_RELEASE);
  return result;
}

template <class T>
inline T Exchange(volatile T* at, T value) {
  return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);
}
inline Bits128 Exchange(volatile Bits128* at, Bits128 value) {
  return Wide([=] {
    const Bits128 old = *at;
    *at = value;
    return old;
  });
}

template <class T>
inline T Read(const volatile T* at) {
  return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}
inline Bits128 Read(const volatile Bits128* at) {
  return Wide([=] { return Bits128{*at}; });
}

template <class T>
inline bool CompareExchange(volatile T* at, T* expected, T wanted) {
  return __atomic_compare_exchange_n(at, expected, wanted, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST);
}
inline bool CompareExchange(volatile Bits128* at, Bits128* expected, Bits128 wanted) {
  return Wide([=] {
    const Bits128 now = *at;
    const bool equal = now == *expected;
    if (equal) *at = wanted;
    if (!equal) *expected = now;
    return equal;
  });
}

template <class T, class Change>
inline T Fetch(volatile T* at, Change change) {
  T old = Read(at);
  while (!CompareExchange(at, &old, static_cast<T>(change(old)))) {
  }
  return old;
}

}  // namespace
}  // namespace morsel::sim

using namespace morsel::sim;

#define MORSEL_SIM_HERE __builtin_return_address(0)

#define MORSEL_SIM_FETCH(bits, name, expression)                                                  \
  Bits##bits __tsan_atomic##bits##_fetch_##name(volatile Bits##bits* at, Bits##bits value, int) { \
    return Atomic(at, sizeof *at, MORSEL_SIM_HERE, [=] {                                          \
      return Fetch(                                                                               \
          at, [=](Bits##bits old) -> Bits##bits { return static_cast<Bits##bits>(expression); }); \
    });                                                                                           \
  }

#define MORSEL_SIM_COMPARE_EXCHANGE(bits, name)                                              \
  int __tsan_atomic##bits##_compare_exchange_##name(volatile Bits##bits* at, void* expected, \
                                                    Bits##bits wanted, int, int) {           \
    return Atomic(at, sizeof *at, MORSEL_SIM_HERE, [=] {                                     \
      return CompareExchange(at, static_cast<Bits##bits*>(expected), wanted);                \
    });                                                                                      \
  }

#define MORSEL_SIM_ATOMIC(bits)                                                               \
  Bits##bits __tsan_atomic##bits##_load(const volatile Bits##bits* at, int) {                 \
    return Atomic(at, 0, MORSEL_SIM_HERE, [=] { return Read(at); });                          \
  }                                                                                           \
  void __tsan_atomic##bits##_store(volatile Bits##bits* at, Bits##bits value, int) {          \
    Atomic(at, sizeof *at, MORSEL_SIM_HERE, [=] { return Exchange(at, value); });             \
  }                                                                                           \
  Bits##bits __tsan_atomic##bits##_exchange(volatile Bits##bits* at, Bits##bits value, int) { \
    return Atomic(at, sizeof *at, MORSEL_SIM_HERE, [=] { return Exchange(at, value); });      \
  }                                                                                           \
  MORSEL_SIM_FETCH(bits, add, old + value)                                                    \
  MORSEL_SIM_FETCH(bits, sub, old - value)                                                    \
  MORSEL_SIM_FETCH(bits, and, old& value)                                                     \
  MORSEL_SIM_FETCH(bits, or, old | value)                                                     \
  MORSEL_SIM_FETCH(bits, xor, old ^ value)                                                    \
  MORSEL_SIM_FETCH(bits, nand, ~(old & value))                                                \
  MORSEL_SIM_COMPARE_EXCHANGE(bits, strong)                                                   \
  MORSEL_SIM_COMPARE_EXCHANGE(bits, weak)                                                     \
  Bits##bits __tsan_atomic##bits##_compare_exchange_val(                                      \
      volatile Bits##bits* at, Bits##bits expected, Bits##bits wanted, int, int) {            \
    return Atomic(at, sizeof *at, MORSEL_SIM_HERE, [=]() mutable {                            \
      CompareExchange(at, &expected, wanted);                                                 \
      return expected;                                                                        \
    });                                                                                       \
  }

extern "C" {

MORSEL_SIM_ATOMIC(8)
MORSEL_SIM_ATOMIC(16)
MORSEL_SIM_ATOMIC(32)
MORSEL_SIM_ATOMIC(64)
MORSEL_SIM_ATOMIC(128)

void __tsan_atomic_thread_fence(int) {
  if (!Hooked()) return __atomic_thread_fence(__ATOMIC_SEQ_CST);
  BeginHook();
  Scheduler::SwitchPoint();
}
void __tsan_atomic_signal_fence(int) {}

}  // extern "C"
