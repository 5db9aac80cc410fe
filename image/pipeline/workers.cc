#include "image/pipeline/workers.h"

#include <sched.h>
#include <valgrind/valgrind.h>

#include "base/check.h"
#include "base/quiet_threads.h"

namespace morsel::image {

unsigned ProcessorCount() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

Workers::Workers(size_t slots, std::function<void(size_t, unsigned)> work, unsigned threads)
    : work_(std::move(work)), is_idle_(slots, true) {
  // All memory is taken before the first thread runs: where there is none, nothing is to be ended,
  // and nothing that comes later can fail.
  queue_.reserve(slots);
  threads_.reserve(threads);
  const QuietThreads quiet;
  for (unsigned i = 1; i < threads; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, &Run, this) != 0) break;
    threads_.push_back(thread);
  }
}

Workers::~Workers() {
  for (size_t slot = 0; slot < is_idle_.size(); ++slot) Await(slot);
  {
    const std::lock_guard held(mutex_);
    ends_ = true;
  }
  queued_.NotifyAll();
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
}

void Workers::Start(size_t slot) {
  {
    const std::lock_guard held(mutex_);
    MORSEL_CHECK(is_idle_[slot]);
    is_idle_[slot] = false;
    queue_.push_back(slot);
  }
  queued_.NotifyOne();
}

void Workers::Await(size_t slot) {
  std::unique_lock held(mutex_);
  while (!is_idle_[slot]) {
    if (queue_.empty()) {
      idle_again_.Wait(held);
    } else {
      WorkOn(held, 0);
    }
  }
}

// Works on the first slot of the queue. The lock is released while work_ runs.
void Workers::WorkOn(std::unique_lock<Mutex>& held, unsigned thread) {
  const size_t slot = queue_.front();
  queue_.erase(queue_.begin());
  held.unlock();
  work_(slot, thread);
  held.lock();
  is_idle_[slot] = true;
  idle_again_.NotifyOne();
}

void* Workers::Run(void* workers) {
  auto& self = *static_cast<Workers*>(workers);
  // Checksums cover all of the program's memory, also what it has freed or has not written yet.
  // That is no error.
  VALGRIND_DISABLE_ERROR_REPORTING;
  std::unique_lock held(self.mutex_);
  const unsigned thread = ++self.begun_;
  for (;;) {
    if (!self.queue_.empty()) {
      self.WorkOn(held, thread);
    } else if (self.ends_) {
      return nullptr;
    } else {
      self.queued_.Wait(held);
    }
  }
}

}  // namespace morsel::image
