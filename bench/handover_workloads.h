// The volatile workloads in which some threads allocate and others free, with a queue between them.
// An operation is one allocation or one free.
#pragma once

#include <array>
#include <bit>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "bench/block.h"
#include "bench/meter.h"
#include "bench/random.h"
#include "bench/workload_inputs.h"

namespace bench {

/// Who waits sleeps: spinning would count as work.
class BoundedQueue {
 public:
  using Blocks = std::vector<void*>;

  void Push(Blocks blocks) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [this] { return queue_.size() < kDepth; });
    queue_.push_back(std::move(blocks));
    not_empty_.notify_one();
  }
  Blocks Pop() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [this] { return !queue_.empty(); });
    Blocks blocks = std::move(queue_.front());
    queue_.pop_front();
    not_full_.notify_one();
    return blocks;
  }

 private:
  static constexpr size_t kDepth = 16;

  std::mutex mutex_;
  std::condition_variable not_full_;
  std::condition_variable not_empty_;
  std::deque<Blocks> queue_;
};

/// Sizes from the least to the most, each twice the one before and half as frequent: of each there
/// are as many bytes.
class HalvingSizes {
 public:
  HalvingSizes(const Inputs& inputs, uint64_t seed)
      : random_(seed),
        least_bytes_(inputs.size_min_bytes),
        most_(inputs.size_max_bytes / inputs.size_min_bytes) {}

  uint64_t Next() {
    if (most_ == 1) return least_bytes_;
    return least_bytes_ << std::countr_zero(random_.Next() >> 32 | most_);
  }

 private:
  Random random_;
  uint64_t least_bytes_;
  uint64_t most_;  // over the least; a power of two
};

/// `kPairs` threads allocate and as many others free, `kHandedOver` objects at a time through one
/// queue, so that what a thread frees was allocated by any of the others.
template <typename Adapter, size_t kPairs, uint64_t kHandedOver>
class HandOver {
 public:
  static constexpr int kThreads = static_cast<int>(2 * kPairs);

  HandOver(Adapter& adapter, const Inputs& inputs, uint64_t seed)
      : adapter_(adapter), inputs_(inputs), seed_(seed) {}

  void Batch(Meter& meter) {
    std::array<Meter, 2 * kPairs> meters;
    std::vector<std::thread> others;
    for (size_t pair = 0; pair < kPairs; ++pair) {
      others.emplace_back([this, &meters, pair] { Consume(meters[kPairs + pair]); });
      if (pair > 0) others.emplace_back([this, &meters, pair] { Produce(meters[pair], pair); });
    }
    Produce(meters[0], 0);
    for (std::thread& other : others) other.join();
    Meter sum;
    for (const Meter& one : meters) sum.AddConcurrent(one);
    meter.AddAfter(sum);
  }

 private:
  void Produce(Meter& meter, size_t pair) {
    typename Adapter::Thread thread(adapter_);
    HalvingSizes sizes(inputs_, seed_ * kPairs + pair);
    uint64_t count = 0;
    meter.Start();
    while (count < inputs_.objects) {
      BoundedQueue::Blocks blocks(kHandedOver);
      for (void*& block : blocks) {
        block = thread.Allocate(sizes.Next());
        Touch(block, count);
      }
      count += kHandedOver;
      queue_.Push(std::move(blocks));
    }
    queue_.Push({});  // ends one consumer
    meter.Stop(count);
  }

  void Consume(Meter& meter) {
    typename Adapter::Thread thread(adapter_);
    uint64_t count = 0;
    meter.Start();
    for (;;) {
      const BoundedQueue::Blocks blocks = queue_.Pop();
      if (blocks.empty()) break;
      for (void* const block : blocks) thread.Free(block);
      count += kHandedOver;
    }
    meter.Stop(count);
  }

  Adapter& adapter_;
  Inputs inputs_;
  uint64_t seed_;
  BoundedQueue queue_;
};

/// One thread allocates, another frees. After Lever, Boreham, "malloc() performance in a
/// multithreaded Linux environment", 2000, where the queue takes single objects: here it takes 500,
/// so that its own cost does not count.
template <typename Adapter>
using ProducerConsumer = HandOver<Adapter, 1, 500>;

/// Some threads only allocate, objects of many sizes, and others only free. After xmalloc-test,
/// which Eder made of the one above, and Kuszmaul has in "SuperMalloc: a super fast multithreaded
/// malloc for 64-bit machines", 2015.
template <typename Adapter>
using XmallocTest = HandOver<Adapter, 2, 100>;

}  // namespace bench
