// The workloads that ask for nothing durable. Each is a class over an adapter's
// Thread, made once for each thread; Batch() is run again and again, and meters
// the part of it that counts. An operation is one allocation or one free.
#pragma once

#include <cstdint>
#include <thread>
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

}  // namespace bench
