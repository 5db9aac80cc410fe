#include "os/memory/huge_thread.h"

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstddef>
#include <mutex>
#include <new>

#include "base/quiet_threads.h"

namespace morsel::os {
namespace {

/// While something changes, the thread looks this often: a program touches half a subtree in small
/// pages meanwhile.
constexpr uint64_t kWaitMinUs = 250;
/// After a look without a change the wait is twice as long, up to this.
constexpr uint64_t kWaitMaxUs = 64'000;
/// After so many such looks in a row there is nothing to see.
constexpr unsigned kQuietLooksMax = 64;
/// After a look the thread rests for so many times what that took, however much there is to see:
/// it takes a fifth of a processor at most. After one without a change it leaves that alone longer.
constexpr uint64_t kRestPerLook = 4;
constexpr uint64_t kWaitPerQuietLook = 20;
/// The system takes the thread-local objects of the program's libraries from it. Programs that lock
/// their memory (mlockall) have all of it in memory.
constexpr size_t kStackBytes = size_t{256} << 10;

uint64_t NowUs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

// Returns whether there is a thread.
bool MakeThread(pthread_t& thread, void* (*run)(void*), void* argument) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  (void)pthread_attr_setstacksize(&attributes, std::max<size_t>(kStackBytes, PTHREAD_STACK_MIN));
  const QuietThreads quiet;
  const bool made = pthread_create(&thread, &attributes, run, argument) == 0;
  pthread_attr_destroy(&attributes);
  return made;
}

}  // namespace

HugeThread& HugeThread::OfProcess() {
  static HugeThread* const thread = new HugeThread;
  return *thread;
}

std::vector<HugeThread::Due>::iterator HugeThread::Find(const HugeWatched* watched) {
  return std::find_if(due_.begin(), due_.end(),
                      [&](const Due& one) { return one.watched == watched; });
}

void HugeThread::Add(HugeWatched&) {
  const std::lock_guard held(mutex_);
  ++count_;
}

void HugeThread::Remove(HugeWatched& watched) {
  std::unique_lock held(mutex_);
  if (const auto due = Find(&watched); due != due_.end()) due_.erase(due);
  while (looks_at_ == &watched) changed_.Wait(held);
  if (--count_ > 0) return;
  bytes_ = 0;
  while (state_ == State::kBegins) changed_.Wait(held);
  if (state_ != State::kRuns || count_ > 0) return;
  state_ = State::kEnds;
  woken_.NotifyOne();
  const pthread_t ending = thread_;
  held.unlock();
  pthread_join(ending, nullptr);  // the system may call the program's free()
  held.lock();
  state_ = State::kNone;
  changed_.NotifyAll();
}

void HugeThread::Wake(HugeWatched& watched, uint64_t bytes) {
  const std::lock_guard held(mutex_);
  bytes_ = std::min(kBytesMin, bytes_ + std::min(kBytesMin, bytes));
  if (const auto due = Find(&watched); due != due_.end()) due_.erase(due);
  due_.push_back({&watched, /*at_us=*/0, kWaitMinUs, /*quiet_looks=*/0});
  woken_.NotifyOne();
}

void HugeThread::Begin() {
  std::unique_lock held(mutex_);
  while (state_ == State::kEnds) changed_.Wait(held);
  if (state_ != State::kNone || bytes_ < kBytesMin || count_ == 0) return;
  state_ = State::kBegins;
  held.unlock();
  pthread_t thread{};
  const bool made = MakeThread(thread, &Run, this);
  held.lock();
  thread_ = thread;
  state_ = made ? State::kRuns : State::kNone;
  bytes_ = 0;
  changed_.NotifyAll();
}

void* HugeThread::Run(void* self) {
  static_cast<HugeThread*>(self)->RunThread();
  return nullptr;
}

void HugeThread::RunThread() {
  std::unique_lock held(mutex_);
  while (state_ != State::kEnds) {
    const auto first =
        std::min_element(due_.begin(), due_.end(),
                         [](const Due& one, const Due& other) { return one.at_us < other.at_us; });
    if (first == due_.end()) {
      woken_.Wait(held);
      continue;
    }
    const uint64_t now_us = NowUs();
    const uint64_t at_us = std::max(first->at_us, rests_until_us_);
    if (at_us > now_us) {
      woken_.WaitFor(held, at_us - now_us);
    } else {
      LookAt(held, first->watched, now_us);
    }
  }
}

void HugeThread::LookAt(std::unique_lock<Mutex>& held, HugeWatched* watched, uint64_t now_us) {
  looks_at_ = watched;
  held.unlock();
  const bool has_changed = watched->Look();
  const uint64_t end_us = NowUs();
  held.lock();
  looks_at_ = nullptr;
  changed_.NotifyAll();
  const uint64_t took_us = end_us - now_us;
  rests_until_us_ = end_us + kRestPerLook * took_us;
  const auto due = Find(watched);
  if (due == due_.end()) return;  // it is being removed
  if (has_changed || due->at_us == 0) {
    *due = {watched, end_us + kWaitMinUs, kWaitMinUs, 0};
    return;
  }
  if (++due->quiet_looks == kQuietLooksMax) {
    due_.erase(due);
    return;
  }
  due->wait_us = std::min(std::max(2 * due->wait_us, kWaitPerQuietLook * took_us), kWaitMaxUs);
  due->at_us = end_us + due->wait_us;
}

void HugeThread::AfterFork(bool child) {
  if (child) {
    // Nobody waits for them here.
    new (&woken_) Condition;
    new (&changed_) Condition;
    state_ = State::kNone;
    bytes_ = 0;
    count_ = 0;
    due_.clear();
    looks_at_ = nullptr;
  }
  mutex_.unlock();
}

}  // namespace morsel::os
