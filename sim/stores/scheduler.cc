#include "sim/stores/scheduler.h"

#include <semaphore.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <random>
#include <thread>

#include "base/check.h"
#include "sim/stores/hook_state.h"

namespace morsel::sim {
namespace {

/// The most calls of SwitchPoint() in a run: far more than a few operations need.
constexpr uint64_t kStepsMax = 2'000'000;

void Take(sem_t& semaphore) {
  while (sem_wait(&semaphore) != 0 && errno == EINTR) {
  }
}

struct Worker {
  enum class State { kReady, kWaiting, kDone };
  State state = State::kReady;
  const pthread_mutex_t* mutex = nullptr;
  sem_t turn;
};

/// Only the thread whose turn it is changes it.
struct Schedule {
  std::array<Worker, Scheduler::kThreadsMax> workers;
  size_t count = 0;
  std::mt19937_64 random;
  uint64_t points_per_switch = 1;
  uint64_t steps = 0;
  const char* ended_badly = nullptr;
  void (*at_thread_end)() = nullptr;
  sem_t over;

  /// A thread that may run, other than `self`; `count` if there is none.
  size_t AnyReady(size_t self) {
    std::array<size_t, Scheduler::kThreadsMax> ready{};
    size_t found = 0;
    for (size_t i = 0; i < count; ++i) {
      if (i != self && workers[i].state == Worker::State::kReady) ready[found++] = i;
    }
    return found == 0 ? count : ready[random() % found];
  }
};

Schedule* schedule = nullptr;

size_t Self() { return hook_state.thread - size_t{1}; }

void LetGoOn(size_t other) {
  Worker& self = schedule->workers[Self()];
  sem_post(&schedule->workers[other].turn);
  Take(self.turn);
}

// The thread has no more to do.
void Finish() {
  schedule->workers[Self()].state = Worker::State::kDone;
  const size_t next = schedule->AnyReady(Self());
  if (next < schedule->count) {
    sem_post(&schedule->workers[next].turn);
    return;
  }
  for (const Worker& worker : schedule->workers) {
    if (worker.state == Worker::State::kWaiting) {
      schedule->ended_badly = "a thread waits for a mutex that nobody gives back";
    }
  }
  sem_post(&schedule->over);
}

/// It is constructed before any other thread-local object and so destroyed last. So the scheduler
/// also orders what destructors do when a thread ends.
struct AtThreadEnd {
  bool runs = false;
  ~AtThreadEnd() {
    if (!runs) return;
    if (schedule->at_thread_end != nullptr) schedule->at_thread_end();
    hook_state.scheduled = false;
    Finish();
  }
};

void RunWorker(size_t number, const std::function<void()>& body) {
  Take(schedule->workers[number].turn);
  hook_state.thread = static_cast<uint8_t>(number + 1);
  static thread_local AtThreadEnd at_thread_end;
  at_thread_end.runs = true;
  hook_state.scheduled = true;
  body();
}

}  // namespace

std::string Scheduler::Run(const std::vector<std::function<void()>>& bodies, uint64_t seed,
                           void (*at_thread_end)()) {
  if (bodies.empty()) return {};
  MORSEL_CHECK(bodies.size() <= kThreadsMax && schedule == nullptr);
  // It is not deleted where threads are left that use it.
  Schedule* const run = new Schedule;
  run->count = bodies.size();
  run->random.seed(seed);
  run->at_thread_end = at_thread_end;
  run->points_per_switch = uint64_t{1} << run->random() % 4;
  for (size_t i = 0; i < run->workers.size(); ++i) {
    sem_init(&run->workers[i].turn, 0, 0);
    if (i >= bodies.size()) run->workers[i].state = Worker::State::kDone;
  }
  sem_init(&run->over, 0, 0);
  schedule = run;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < bodies.size(); ++i) {
    threads.emplace_back([i, body = bodies[i]] { RunWorker(i, body); });
  }
  sem_post(&run->workers[run->random() % run->count].turn);
  Take(run->over);
  schedule = nullptr;
  if (run->ended_badly != nullptr) {
    for (std::thread& thread : threads) thread.detach();
    return run->ended_badly;
  }
  for (std::thread& thread : threads) thread.join();
  delete run;
  return {};
}

void Scheduler::SwitchPoint() {
  if (!hook_state.scheduled || hook_state.depth != 0 || hook_state.initializing != 0) return;
  InSimulator in;
  if (++schedule->steps > kStepsMax) Abandon("the threads do not come to an end");
  if (schedule->random() % schedule->points_per_switch != 0) return;
  const size_t next = schedule->AnyReady(schedule->count);
  if (next != Self()) LetGoOn(next);
}

void Scheduler::WaitFor(const pthread_mutex_t* mutex) {
  InSimulator in;
  Worker& self = schedule->workers[Self()];
  self.state = Worker::State::kWaiting;
  self.mutex = mutex;
  const size_t next = schedule->AnyReady(Self());
  if (next == schedule->count) Abandon("the threads wait for each other's mutexes for ever");
  LetGoOn(next);
}

void Scheduler::Unlocked(const pthread_mutex_t* mutex) {
  for (Worker& worker : schedule->workers) {
    if (worker.state == Worker::State::kWaiting && worker.mutex == mutex) {
      worker.state = Worker::State::kReady;
    }
  }
}

void Scheduler::Abandon(const char* message) {
  schedule->ended_badly = message;
  sem_post(&schedule->over);
  for (;;) pause();
}

}  // namespace morsel::sim
