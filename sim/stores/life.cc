#include "sim/stores/life.h"

#include <setjmp.h>
#include <signal.h>

#include <cstdio>
#include <cstring>
#include <functional>

#include "sim/stores/hook_state.h"
#include "sim/stores/recorder.h"
#include "sim/stores/scheduler.h"

namespace morsel::sim {
namespace {

/// Far more than a life of a few operations needs.
constexpr uint64_t kHooksMax = 200'000'000;
constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
constexpr int kEndless = 1 << 16;

sigjmp_buf end_of_life;
volatile sig_atomic_t living = 0;

void OnSignal(int signal) {
  if (hook_state.scheduled) Scheduler::Abandon("the code under test died in one of its threads");
  if (living == 0) {
    // Not the code under test: the process ends as it would have.
    struct sigaction otherwise {};
    otherwise.sa_handler = SIG_DFL;
    sigaction(signal, &otherwise, nullptr);
    raise(signal);
    return;
  }
  living = 0;
  siglongjmp(end_of_life, signal);
}

class DeathWatch {
 public:
  DeathWatch() {
    struct sigaction action {};
    action.sa_handler = OnSignal;
    action.sa_flags = SA_NODEFER;
    for (size_t i = 0; i < std::size(kSignals); ++i) {
      sigaction(kSignals[i], &action, &before_[i]);
    }
    hook_bounds.fuel = kHooksMax;
    living = 1;
  }
  ~DeathWatch() {
    living = 0;
    for (size_t i = 0; i < std::size(kSignals); ++i) {
      sigaction(kSignals[i], &before_[i], nullptr);
    }
  }

 private:
  struct sigaction before_[std::size(kSignals)];
};

std::string HowItDied(int signal) {
  if (signal == kEndless) return "the code under test does not end";
  return std::string("the code under test died: ") + strsignal(signal);
}

}  // namespace

void OutOfFuel() {
  hook_bounds.fuel = UINT64_MAX;
  if (hook_state.scheduled) Scheduler::Abandon("the code under test does not end");
  if (living == 0) return;
  living = 0;
  siglongjmp(end_of_life, kEndless);
}

void LifeRunner::RunOperation(uint32_t operation, Log& log) {
  log.Began(operation);
  target_.Run(operation, log);
  log.Returned(operation);
}

std::string LifeRunner::RunThreads(const Script& script, Log& log, uint64_t schedule) {
  std::vector<std::function<void()>> bodies;
  for (const std::vector<uint32_t>& operations : script) {
    bodies.push_back([&] {
      for (const uint32_t operation : operations) RunOperation(operation, log);
    });
  }
  std::string failure = Scheduler::Run(bodies, schedule);
  left_threads_ = !failure.empty();
  return failure;
}

std::string LifeRunner::RunProtected(const Script& script, Log& log, uint64_t schedule,
                                     const std::set<std::string>* right, Life* life) {
  std::string failure = target_.Recover(log);
  if (!failure.empty()) return failure;
  const std::string answer = target_.Answers();
  if (right != nullptr && !right->empty() && !right->contains(answer)) {
    return "it answers what it never would have without a crash: " + answer;
  }
  if (script.size() > 1) return RunThreads(script, log, schedule);
  if (!answer.empty()) life->answers.insert(answer);
  for (size_t i = 0; !script.empty() && i < script.front().size(); ++i) {
    RunOperation(script.front()[i], log);
    if (!answer.empty()) life->answers.insert(target_.Answers());
  }
  return {};
}

// Pages that nobody was seen to store to are looked at in one life of a few, until something is
// found there.
void LifeRunner::InspectAtTimes() {
  constexpr uint64_t kLivesPerLook = 16;
  if (!strict_ && !stores_unseen_ && lives_++ % kLivesPerLook != 0) return;
  stores_unseen_ = Recorder::Get().Inspect() || stores_unseen_;
}

Life LifeRunner::Run(const Image& visible, Log& log, const Script& script, uint64_t schedule,
                     const std::set<std::string>* right) {
  Recorder& recorder = Recorder::Get();
  recorder.Put(visible);
  Life life;
  left_threads_ = false;
  DeathWatch watch;
  recorder.Begin(strict_);
  const int died = sigsetjmp(end_of_life, 1);
  if (died == 0) {
    life.failure = RunProtected(script, log, schedule, right, &life);
    InspectAtTimes();
    life.trace = recorder.End();
    if (life.failure.empty()) life.failure = recorder.unseen();
    recorder.Begin(false);
    if (life.failure.empty()) life.failure = target_.Verify(log);
  } else {
    hook_state.depth = 0;
    life.failure = HowItDied(died);
  }
  // What it stores is seen, so that it can be taken away again.
  target_.Forget(died == 0 && !left_threads_);
  (void)recorder.End();
  return life;
}

}  // namespace morsel::sim
