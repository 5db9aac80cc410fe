// The workloads that ask for nothing durable. Each is a class over an adapter's
// Thread, made once for each thread; Batch() is run again and again, and meters
// the part of it that counts. An operation is one allocation or one free.
#pragma once

#include <condition_variable>
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

/// Allocates all objects, then frees them in that order. threadtest of Hoard: Berger, McKinley,
/// Blumofe, Wilson, "Hoard: a scalable memory allocator for multithreaded applications", 2000.
template <typename Adapter>
class Threadtest {
 public:
  static constexpr int kThreads = 1;

  Threadtest(Adapter& adapter, const Inputs& inputs, uint64_t /*seed*/)
      : thread_(adapter), size_bytes_(inputs.size_min_bytes), blocks_(inputs.objects) {}

  void Batch(Meter& meter) {
    meter.Start();
    for (void*& block : blocks_) {
      block = thread_.Allocate(size_bytes_);
      Touch(block, 1);
    }
    for (void* const block : blocks_) thread_.Free(block);
    meter.Stop(2 * blocks_.size());
  }

 private:
  typename Adapter::Thread thread_;
  uint64_t size_bytes_;
  std::vector<void*> blocks_;
};

/// Allocates one object and frees it at once.
template <typename Adapter>
class Pairs {
 public:
  static constexpr int kThreads = 1;

  Pairs(Adapter& adapter, const Inputs& inputs, uint64_t /*seed*/)
      : thread_(adapter), size_bytes_(inputs.size_min_bytes), count_(inputs.objects) {}

  void Batch(Meter& meter) {
    meter.Start();
    for (uint64_t i = 0; i < count_; ++i) {
      void* const block = thread_.Allocate(size_bytes_);
      Touch(block, i);
      thread_.Free(block);
    }
    meter.Stop(2 * count_);
  }

 private:
  typename Adapter::Thread thread_;
  uint64_t size_bytes_;
  uint64_t count_;
};

/// Objects of random sizes, of which one picked at random is replaced.
template <typename Thread>
class RandomReplacement {
 public:
  RandomReplacement(const Inputs& inputs, uint64_t seed)
      : inputs_(inputs), random_(seed), blocks_(inputs.objects) {}

  void Populate(Thread& thread) {
    for (void*& block : blocks_) block = Make(thread);
  }
  void Replace(Thread& thread, uint64_t times) {
    for (uint64_t i = 0; i < times; ++i) {
      void*& block = blocks_[random_.Below(blocks_.size())];
      thread.Free(block);
      block = Make(thread);
    }
  }
  void Clear(Thread& thread) {
    for (void* const block : blocks_) thread.Free(block);
  }

 private:
  void* Make(Thread& thread) {
    void* const block =
        thread.Allocate(random_.Between(inputs_.size_min_bytes, inputs_.size_max_bytes));
    Touch(block, 1);
    return block;
  }

  Inputs inputs_;
  Random random_;
  std::vector<void*> blocks_;
};

/// Sizes mixed, objects of one thread.
template <typename Adapter>
class Mixed {
 public:
  static constexpr int kThreads = 1;

  Mixed(Adapter& adapter, const Inputs& inputs, uint64_t seed)
      : thread_(adapter), times_(10 * inputs.objects), objects_(inputs, seed) {
    objects_.Populate(thread_);
  }
  ~Mixed() { objects_.Clear(thread_); }
  Mixed(const Mixed&) = delete;
  Mixed& operator=(const Mixed&) = delete;

  void Batch(Meter& meter) {
    meter.Start();
    objects_.Replace(thread_, times_);
    meter.Stop(2 * times_);
  }

 private:
  typename Adapter::Thread thread_;
  uint64_t times_;
  RandomReplacement<typename Adapter::Thread> objects_;
};

/// A server whose threads end: each leaves its objects to a successor, which frees what another
/// thread allocated. Larson, Krishnan, "Memory allocation for long-running server applications",
/// 1998; sizes and number of objects as in Cai et al., "Understanding and optimizing persistent
/// memory allocation", 2020; a life has 100 replacements for each object.
template <typename Adapter>
class Larson {
 public:
  static constexpr int kThreads = 1;

  Larson(Adapter& adapter, const Inputs& inputs, uint64_t seed)
      : adapter_(adapter), times_(100 * inputs.objects), objects_(inputs, seed) {
    typename Adapter::Thread thread(adapter_);
    objects_.Populate(thread);
  }
  ~Larson() {
    typename Adapter::Thread thread(adapter_);
    objects_.Clear(thread);
  }
  Larson(const Larson&) = delete;
  Larson& operator=(const Larson&) = delete;

  void Batch(Meter& meter) {
    std::thread successor([&] {
      typename Adapter::Thread thread(adapter_);
      meter.Start();
      objects_.Replace(thread, times_);
      meter.Stop(2 * times_);
    });
    successor.join();
  }

 private:
  Adapter& adapter_;
  uint64_t times_;
  RandomReplacement<typename Adapter::Thread> objects_;
};

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

/// One thread allocates, another frees. After Lever, Boreham, "malloc() performance in a
/// multithreaded Linux environment", 2000, where the queue takes single objects: here it takes 500,
/// so that its own cost does not count.
template <typename Adapter>
class ProducerConsumer {
 public:
  static constexpr int kThreads = 2;

  ProducerConsumer(Adapter& adapter, const Inputs& inputs, uint64_t /*seed*/)
      : adapter_(adapter), size_bytes_(inputs.size_min_bytes), count_(inputs.objects) {}

  void Batch(Meter& meter) {
    Meter consumers;
    std::thread consumer([&] { Consume(consumers); });
    Meter producers;
    Produce(producers);
    consumer.join();
    producers.AddConcurrent(consumers);
    meter.AddAfter(producers);
  }

 private:
  static constexpr uint64_t kHandedOver = 500;

  void Produce(Meter& meter) {
    typename Adapter::Thread thread(adapter_);
    meter.Start();
    for (uint64_t i = 0; i < count_; i += kHandedOver) {
      BoundedQueue::Blocks blocks(kHandedOver);
      for (void*& block : blocks) {
        block = thread.Allocate(size_bytes_);
        Touch(block, i);
      }
      queue_.Push(std::move(blocks));
    }
    queue_.Push({});
    meter.Stop(Rounded());
  }

  void Consume(Meter& meter) {
    typename Adapter::Thread thread(adapter_);
    meter.Start();
    for (;;) {
      const BoundedQueue::Blocks blocks = queue_.Pop();
      if (blocks.empty()) break;
      for (void* const block : blocks) thread.Free(block);
    }
    meter.Stop(Rounded());
  }

  uint64_t Rounded() const { return (count_ + kHandedOver - 1) / kHandedOver * kHandedOver; }

  Adapter& adapter_;
  uint64_t size_bytes_;
  uint64_t count_;
  BoundedQueue queue_;
};

}  // namespace bench
