// The workloads whose results survive a crash. Slots that lie in the heap are
// what objects are linked into and unlinked from, in an order that the seed
// decides, as buckets of a hash table are met. Objects have 64 bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "bench/block.h"
#include "bench/meter.h"
#include "bench/random.h"
#include "bench/workload_inputs.h"

namespace bench {

/// The slots of one thread.
template <typename Adapter>
class Slots {
 public:
  using Slot = typename Adapter::Slot;

  Slots(Adapter& adapter, const Inputs& inputs, uint64_t seed) : thread_(adapter) {
    const uint64_t count = (inputs.objects + kTogether - 1) / kTogether * kTogether;
    Slot* const slots = thread_.MakeSlots(count);
    for (uint64_t i = 0; i < count; ++i) order_.push_back(&slots[i]);
    Random random(seed);
    for (uint64_t i = count - 1; i > 0; --i) std::swap(order_[i], order_[random.Below(i + 1)]);
  }

  uint64_t count() const { return order_.size(); }

  void LinkEach() {
    for (Slot* const slot : order_) thread_.AllocateAndLink(*slot);
  }
  void LinkTogether() {
    ForSixteen([this](std::span<Slot*, kTogether> slots) { thread_.AllocateAndLink(slots); });
  }
  void UnlinkEach() {
    for (Slot* const slot : order_) thread_.UnlinkAndFree(*slot);
  }
  void UnlinkTogether() {
    ForSixteen([this](std::span<Slot*, kTogether> slots) { thread_.UnlinkAndFree(slots); });
  }

 private:
  template <typename Work>
  void ForSixteen(Work work) {
    for (uint64_t i = 0; i < order_.size(); i += kTogether) {
      work(std::span<Slot*, kTogether>(&order_[i], kTogether));
    }
  }

  typename Adapter::Thread thread_;
  std::vector<Slot*> order_;
};

/// What a durable workload meters: allocating objects, filling them, making them durable and
/// linking them, or unlinking and freeing them. An operation is all of that for one object.
enum class Durable { kLink, kLinkTogether, kUnlink, kUnlinkTogether };

template <typename Adapter, Durable kMetered>
class DurableWorkload {
 public:
  static constexpr int kThreads = 1;

  DurableWorkload(Adapter& adapter, const Inputs& inputs, uint64_t seed)
      : slots_(adapter, inputs, seed) {}

  void Batch(Meter& meter) {
    Meter link;
    Meter unlink;
    link.Start();
    if constexpr (kMetered == Durable::kLink) {
      slots_.LinkEach();
    } else {
      slots_.LinkTogether();
    }
    link.Stop(slots_.count());
    unlink.Start();
    if constexpr (kMetered == Durable::kUnlink) {
      slots_.UnlinkEach();
    } else {
      slots_.UnlinkTogether();
    }
    unlink.Stop(slots_.count());
    constexpr bool kLinking = kMetered == Durable::kLink || kMetered == Durable::kLinkTogether;
    meter.AddAfter(kLinking ? link : unlink);
  }

 private:
  Slots<Adapter> slots_;
};

}  // namespace bench
