#include "sim/stores/incarnation.h"

#include <setjmp.h>
#include <signal.h>

#include <cstdio>
#include <cstring>
#include <functional>

#include "base/mutex.h"
#include "sim/stores/hooks.h"
#include "sim/stores/recorder.h"
#include "sim/stores/scheduler.h"

namespace morsel::sim {
namespace {

/// Far more than an incarnation of a few operations needs.
constexpr uint64_t kHooksMax = 200'000'000;
constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
constexpr int kEndless = 1 << 16;

sigjmp_buf end_of_incarnation;
volatile sig_atomic_t running = 0;

void OnSignal(int signal) {
  if (hook_state.scheduled) Scheduler::Abandon("the code under test died in one of its threads");
  if (running == 0) {
    // Not the code under test: the process ends as it would have.
    struct sigaction otherwise {};
    otherwise.sa_handler = SIG_DFL;
    sigaction(signal, &otherwise, nullptr);
    raise(signal);
    return;
  }
  running = 0;
  siglongjmp(end_of_incarnation, signal);
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
    running = 1;
  }
  ~DeathWatch() {
    running = 0;
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
  if (running == 0) return;
  running = 0;
  siglongjmp(end_of_incarnation, kEndless);
}

void IncarnationRunner::RunOperation(uint32_t operation, Log& log) {
  log.Began(operation);
  target_.Perform(operation, log);
  log.Returned(operation);
}

std::string IncarnationRunner::RunThreads(const Script& script, Log& log, uint64_t schedule) {
  std::vector<std::function<void()>> bodies;
  for (const std::vector<uint32_t>& operations : script) {
    bodies.push_back([&] {
      for (const uint32_t operation : operations) RunOperation(operation, log);
    });
  }
  std::string failure = Scheduler::Run(bodies, schedule, [] {
    if (hook_state.pending_bytes != 0) RecordPending();
  });
  left_threads_ = !failure.empty();
  return failure;
}

std::string IncarnationRunner::RunProtected(const Script& script, Log& log, uint64_t schedule,
                                            const std::set<std::string>* right,
                                            Incarnation* incarnation) {
  std::string failure = target_.Recover(log);
  if (!failure.empty()) return failure;
  const std::string answer = target_.Answers();
  if (right != nullptr && !right->empty() && !right->contains(answer)) {
    return "it answers what it never would have without a crash: " + answer;
  }
  if (script.size() > 1) return RunThreads(script, log, schedule);
  if (!answer.empty()) incarnation->answers.insert(answer);
  for (size_t i = 0; !script.empty() && i < script.front().size(); ++i) {
    RunOperation(script.front()[i], log);
    if (!answer.empty()) incarnation->answers.insert(target_.Answers());
  }
  return {};
}

// Pages that nobody was seen to store to are looked at in one incarnation of a few, until something
// is found there.
void IncarnationRunner::InspectAtTimes() {
  constexpr uint64_t kIncarnationsPerInspection = 16;
  if (!strict_ && !stores_unseen_ && incarnations_++ % kIncarnationsPerInspection != 0) return;
  stores_unseen_ = Recorder::Get().Inspect() || stores_unseen_;
}

Incarnation IncarnationRunner::Run(const Image& visible, Log& log, const Script& script,
                                   uint64_t schedule, const std::set<std::string>* right) {
  Recorder& recorder = Recorder::Get();
  recorder.Put(visible);
  Incarnation incarnation;
  left_threads_ = false;
  DeathWatch watch;
  const OutsideCall outside;  // what a life held that died is no matter to the next one
  recorder.Begin(strict_);
  const int died = sigsetjmp(end_of_incarnation, 1);
  if (died == 0) {
    incarnation.failure = RunProtected(script, log, schedule, right, &incarnation);
    InspectAtTimes();
    incarnation.trace = recorder.End();
    if (incarnation.failure.empty()) incarnation.failure = recorder.unseen();
    recorder.Begin(false);
    if (incarnation.failure.empty()) incarnation.failure = target_.Verify(log);
  } else {
    hook_state.depth = 0;
    incarnation.failure = HowItDied(died);
  }
  // What it stores is seen, so that it can be taken away again.
  target_.Forget(died == 0 && !left_threads_);
  (void)recorder.End();
  return incarnation;
}

}  // namespace morsel::sim
