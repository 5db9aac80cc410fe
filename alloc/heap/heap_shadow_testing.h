// Power cuts for tests of several threads: what a thread had flushed when it fenced is durable,
// and nothing else. So a test sees the worst that a cut may leave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "base/units.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// Memory, and a copy of what of it is durable. What lies behind its size_bytes is not watched.
/// Threads  persist(): any; the others: while nobody stores.
class Shadow {
 public:
  Shadow(char* memory, size_t size_bytes) : memory_(memory), durable_(size_bytes) {}

  pmem::Persist persist() {
    static constexpr pmem::PersistTable kTable = {
        .flush =
            [](void* shadow, const void* address, size_t size_bytes) {
              auto& to = *static_cast<Shadow*>(shadow);
              const std::lock_guard lock(to.mutex_);
              const uint64_t from =
                  static_cast<uint64_t>(static_cast<const char*>(address) - to.memory_);
              const uint64_t begin = AlignDown(from, kLineBytes);
              to.flushed_[std::this_thread::get_id()].emplace_back(
                  begin, AlignUp(from + size_bytes, kLineBytes) - begin);
            },
        .fence =
            [](void* shadow) {
              auto& to = *static_cast<Shadow*>(shadow);
              const std::lock_guard lock(to.mutex_);
              auto& mine = to.flushed_[std::this_thread::get_id()];
              for (const auto& [begin, size_bytes] : mine) {
                to.MakeDurable(begin, size_bytes);
              }
              mine.clear();
            },
    };
    return {&kTable, this};
  }
  void CutPower() { std::memcpy(memory_, durable_.data(), durable_.size()); }
  /// What CutPower() would leave now.
  std::vector<char> durable() {
    const std::lock_guard lock(mutex_);
    return durable_;
  }
  /// Leaves in memory what durable() returned earlier.
  void Restore(const std::vector<char>& then) { std::memcpy(memory_, then.data(), then.size()); }

 private:
  // Copies word by word, because other threads store meanwhile.
  void MakeDurable(uint64_t begin, uint64_t size_bytes) {
    if (begin + size_bytes > durable_.size()) return;
    for (uint64_t at = begin; at < begin + size_bytes; at += sizeof(uint64_t)) {
      const uint64_t word = pmem::Load(reinterpret_cast<uint64_t*>(memory_ + at));
      std::memcpy(&durable_[at], &word, sizeof word);
    }
  }

  std::mutex mutex_;
  char* memory_;
  std::vector<char> durable_;
  std::map<std::thread::id, std::vector<std::pair<uint64_t, uint64_t>>> flushed_;
};

}  // namespace morsel::alloc
