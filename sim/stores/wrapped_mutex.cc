// Calls by which threads wait for each other. The linker sends them here (--wrap).
#include <pthread.h>
#include <sched.h>

#include <cerrno>

#include "sim/stores/hooks.h"
#include "sim/stores/scheduler.h"

using namespace morsel::sim;

namespace {

bool Scheduled() { return hook_state.scheduled && hook_state.depth == 0; }

}  // namespace

extern "C" {

int __real_pthread_mutex_lock(pthread_mutex_t* mutex);
int __real_pthread_mutex_trylock(pthread_mutex_t* mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t* mutex);
int __real_sched_yield();
int __real___cxa_guard_acquire(void* guard);
void __real___cxa_guard_release(void* guard);
void __real___cxa_guard_abort(void* guard);

int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) {
  if (!Scheduled()) return __real_pthread_mutex_lock(mutex);
  BeginHook();
  Scheduler::SwitchPoint();
  for (;;) {
    const int answer = __real_pthread_mutex_trylock(mutex);
    if (answer != EBUSY) return answer;
    Scheduler::WaitFor(mutex);
  }
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t* mutex) {
  if (Scheduled()) {
    BeginHook();
    Scheduler::SwitchPoint();
  }
  return __real_pthread_mutex_trylock(mutex);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t* mutex) {
  if (!Scheduled()) return __real_pthread_mutex_unlock(mutex);
  BeginHook();
  const int answer = __real_pthread_mutex_unlock(mutex);
  Scheduler::Unlocked(mutex);
  Scheduler::SwitchPoint();
  return answer;
}

int __wrap_sched_yield() {
  if (!Scheduled()) return __real_sched_yield();
  BeginHook();
  Scheduler::SwitchPoint();
  return 0;
}

// A thread that finds a static being initialized waits for it in the kernel, where the scheduler
// does not see it. So no other thread may run meanwhile.
int __wrap___cxa_guard_acquire(void* guard) {
  const int mine = __real___cxa_guard_acquire(guard);
  if (mine != 0) ++hook_state.initializing;
  return mine;
}
void __wrap___cxa_guard_release(void* guard) {
  --hook_state.initializing;
  __real___cxa_guard_release(guard);
}
void __wrap___cxa_guard_abort(void* guard) {
  --hook_state.initializing;
  __real___cxa_guard_abort(guard);
}

}  // extern "C"
