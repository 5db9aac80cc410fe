#include "tests/crash/image/churn.h"

#include <sched.h>

#include <algorithm>

namespace morsel::crash {
namespace {

// The addresses held after `calls` calls, in order.
std::vector<uint64_t> HeldAfter(const ChurnCut& cut, uint64_t calls) {
  std::vector<uint64_t> held;
  const uint64_t round = calls / kChurnHeld;
  const uint64_t in_round = calls % kChurnHeld;
  // In an even round the first calls have allocated; in an odd one the last are still to be freed.
  const uint64_t begin = round % 2 == 0 ? round * kChurnHeld : calls - kChurnHeld;
  const uint64_t count = round % 2 == 0 ? in_round : kChurnHeld - in_round;
  for (uint64_t i = begin; i < begin + count; ++i) held.push_back(cut.addresses[i % kChurnRing]);
  std::sort(held.begin(), held.end());
  return held;
}

bool Allocates(uint64_t call) { return call / kChurnHeld % 2 == 0; }

std::vector<uint64_t> AddressesOf(uint64_t churner, const std::vector<Block>& allocated) {
  std::vector<uint64_t> addresses;
  for (const Block& block : allocated) {
    if (block.size_bytes == kChurnBytes[churner]) addresses.push_back(block.address);
  }
  return addresses;
}

void Call(morsel_t* morsel, uint64_t churner, ChurnLog& log, Failure& failure) {
  const uint64_t call = log.done.load();
  uint64_t& address = log.addresses[(Allocates(call) ? call : call - kChurnHeld) % kChurnRing];
  if (Allocates(call)) {
    void* const block = morsel_malloc(morsel, kChurnBytes[churner]);
    if (block == nullptr) Fail(failure, std::string("churning: ") + morsel_last_error());
    address = reinterpret_cast<uint64_t>(block);
  } else {
    morsel_free(morsel, reinterpret_cast<void*>(address));
  }
  log.done.store(call + 1);
}

}  // namespace

void BeginWatch(ChurnLog& log) { log.watched_from.store(log.done.load()); }

void TakeCut(const ChurnLog& log, ChurnCut* cut) {
  cut->first = log.watched_from.load();
  cut->last = log.done.load();
  // A thread that is watched stops before it overwrites any of these.
  for (uint64_t i = cut->first - std::min(cut->first, 2 * kChurnHeld); i < cut->last; ++i) {
    cut->addresses[i % kChurnRing] = log.addresses[i % kChurnRing];
  }
}

void EndWatch(ChurnLog& log) { log.watched_from.store(~uint64_t{0}); }

std::string WhyNoCut(const ChurnCut& cut, uint64_t churner, const std::vector<Block>& allocated) {
  const std::vector<uint64_t> found = AddressesOf(churner, allocated);
  for (uint64_t calls = cut.first; calls <= cut.last; ++calls) {
    if (found == HeldAfter(cut, calls)) return {};
  }
  // A call may have done its work without having returned.
  std::vector<uint64_t> last = HeldAfter(cut, cut.last);
  if (!Allocates(cut.last)) {
    if (found == HeldAfter(cut, cut.last + 1)) return {};
  } else if (found.size() == last.size() + 1 &&
             std::includes(found.begin(), found.end(), last.begin(), last.end())) {
    return {};
  }
  return "the " + std::to_string(found.size()) + " blocks of " +
         std::to_string(kChurnBytes[churner]) +
         " bytes are not what their thread had after any of " + std::to_string(cut.first) + " to " +
         std::to_string(cut.last + 1) + " calls";
}

Churn::Churn(morsel_t* morsel, std::array<ChurnLog, kChurners>& logs, Failure& failure) {
  for (uint64_t churner = 0; churner < kChurners; ++churner) {
    ChurnLog& log = logs[churner];
    log.done.store(0);
    log.watched_from.store(~uint64_t{0});
    threads_.emplace_back([this, morsel, churner, &log, &failure] {
      // Ends without a block.
      while (!stopping_.load() || log.done.load() % (2 * kChurnHeld) != 0) {
        const uint64_t watched_from = log.watched_from.load();
        if (log.done.load() >= watched_from && log.done.load() - watched_from > kChurnWatchedMax) {
          sched_yield();
          continue;
        }
        Call(morsel, churner, log, failure);
      }
    });
  }
}

Churn::~Churn() {
  stopping_.store(true);
  for (std::thread& thread : threads_) thread.join();
}

void FreeChurned(morsel_t* morsel) {
  for (const Block& block : AllocatedBlocks(morsel)) {
    const auto of_churn = std::find(kChurnBytes.begin(), kChurnBytes.end(), block.size_bytes);
    if (of_churn != kChurnBytes.end()) morsel_free(morsel, PointerTo(block));
  }
}

}  // namespace morsel::crash
