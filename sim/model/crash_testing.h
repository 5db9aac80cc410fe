// For tests: memory that forgets what was not flushed and fenced.
//
// The model is the documented crash model for byte-addressable media. A line has reached the medium
// after its flush and the fence that follows. Before that, any part of what was stored in it may be
// there. Parts are words here, in any order, which is more than a processor does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/bits.h"
#include "base/units.h"
#include "pmem/persist/persist.h"

namespace morsel::pmem {

class CrashMedium {
 public:
  explicit CrashMedium(size_t size_bytes)
      : size_bytes_(AlignUp(size_bytes, kPageBytes)),
        live_(Allocate(size_bytes_)),
        durable_(Allocate(size_bytes_)) {}
  CrashMedium(const CrashMedium&) = delete;
  CrashMedium& operator=(const CrashMedium&) = delete;

  char* memory() const { return live_.get(); }
  size_t size_bytes() const { return size_bytes_; }
  Persist persist() { return Persist(&kTable, this); }

  /// Called before each flush and each fence takes effect.
  std::function<void()> before_event;
  uint64_t flushes = 0;
  uint64_t fences = 0;

  /// Makes everything visible durable, e.g. what a test prepared.
  void Settle() {
    std::memcpy(durable_.get(), live_.get(), size_bytes_);
    flushed_.clear();
  }

  /// What happens to undecided lines. kAllButOne loses only the seed-th of them, kOnlyOne keeps
  /// only the seed-th.
  enum class Unfenced { kLost, kKept, kSome, kAllButOne, kOnlyOne };

  /// How many lines are undecided at this moment.
  uint64_t undecided_lines() const {
    uint64_t count = 0;
    for (size_t at = 0; at < size_bytes_; at += kLineBytes) count += IsUndecided(at);
    return count;
  }

  /// The medium after a power cut at this moment.
  std::unique_ptr<CrashMedium> AfterPowerCut(Unfenced unfenced, uint64_t seed) const {
    auto after = std::make_unique<CrashMedium>(size_bytes_);
    std::memcpy(after->live_.get(), durable_.get(), size_bytes_);
    std::mt19937_64 random(seed);
    uint64_t undecided = 0;
    for (size_t at = 0; at < size_bytes_ && unfenced != Unfenced::kLost; at += kLineBytes) {
      if (!IsUndecided(at)) continue;
      const auto flushed = flushed_.find(at);
      const bool is_the_one = undecided++ == seed;
      if (unfenced == Unfenced::kAllButOne || unfenced == Unfenced::kOnlyOne) {
        if (is_the_one == (unfenced == Unfenced::kOnlyOne)) {
          std::memcpy(after->live_.get() + at, live_.get() + at, kLineBytes);
        }
        continue;
      }
      if (unfenced == Unfenced::kKept) {
        std::memcpy(after->live_.get() + at, live_.get() + at, kLineBytes);
        continue;
      }
      if (random() % 3 == 0) continue;  // the whole line is lost
      for (size_t word = 0; word < kLineBytes; word += sizeof(uint64_t)) {
        const char* from = nullptr;
        switch (random() % 3) {
          case 0:
            from = live_.get() + at + word;
            break;
          case 1:
            from = flushed == flushed_.end() ? nullptr : flushed->second.data() + word;
            break;
          default:
            break;
        }
        if (from != nullptr) std::memcpy(after->live_.get() + at + word, from, sizeof(uint64_t));
      }
    }
    after->Settle();
    return after;
  }

  /// The medium as the next process sees it after a kill at this moment: everything is visible, and
  /// no more is durable than before.
  std::unique_ptr<CrashMedium> AfterKill() const {
    auto after = std::make_unique<CrashMedium>(size_bytes_);
    std::memcpy(after->live_.get(), live_.get(), size_bytes_);
    std::memcpy(after->durable_.get(), durable_.get(), size_bytes_);
    return after;
  }

 private:
  using Memory = std::unique_ptr<char, decltype(&std::free)>;
  static Memory Allocate(size_t size_bytes) {
    auto* const memory = static_cast<char*>(std::aligned_alloc(kPageBytes, size_bytes));
    std::memset(memory, 0, size_bytes);
    return Memory(memory, &std::free);
  }

  bool IsUndecided(size_t at) const {
    const char* const durable = durable_.get() + at;
    if (std::memcmp(live_.get() + at, durable, kLineBytes) != 0) return true;
    const auto flushed = flushed_.find(at);
    return flushed != flushed_.end() &&
           std::memcmp(flushed->second.data(), durable, kLineBytes) != 0;
  }

  static void Flush(void* context, const void* address, size_t size_bytes) {
    auto& medium = *static_cast<CrashMedium*>(context);
    if (medium.before_event) medium.before_event();
    ++medium.flushes;
    const auto begin = static_cast<size_t>(static_cast<const char*>(address) - medium.live_.get());
    for (size_t at = AlignDown(begin, kLineBytes); at < begin + size_bytes; at += kLineBytes) {
      medium.flushed_[at].assign(medium.live_.get() + at, kLineBytes);
    }
  }
  static void Fence(void* context) {
    auto& medium = *static_cast<CrashMedium*>(context);
    if (medium.before_event) medium.before_event();
    ++medium.fences;
    for (const auto& [at, line] : medium.flushed_) {
      std::memcpy(medium.durable_.get() + at, line.data(), kLineBytes);
    }
    medium.flushed_.clear();
  }
  static constexpr PersistTable kTable = {.flush = &Flush, .fence = &Fence};

  size_t size_bytes_;
  Memory live_;
  Memory durable_;
  std::map<size_t, std::string> flushed_;  ///< lines as they were when flushed, not fenced yet
};

/// Runs `operation`, which changes `medium`, and calls verify(the medium after a power cut) for
/// power cuts at every flush, at every fence and at the end. Each keeps all, nothing, all but one
/// line, one line or some of what was not fenced.
inline void ForEachPowerCut(CrashMedium& medium, const std::function<void()>& operation,
                            const std::function<void(CrashMedium&)>& verify,
                            uint64_t seeds_per_event = 4) {
  uint64_t seed = 0;
  const auto cut = [&] {
    verify(*medium.AfterPowerCut(CrashMedium::Unfenced::kLost, 0));
    verify(*medium.AfterPowerCut(CrashMedium::Unfenced::kKept, 0));
    const uint64_t lines = medium.undecided_lines();
    for (uint64_t i = 0; i < std::min(lines, seeds_per_event); ++i) {
      // Where there are too many, others at each event.
      const uint64_t line = lines <= seeds_per_event ? i : (seed + i) % lines;
      verify(*medium.AfterPowerCut(CrashMedium::Unfenced::kAllButOne, line));
      verify(*medium.AfterPowerCut(CrashMedium::Unfenced::kOnlyOne, line));
    }
    for (uint64_t i = 0; i < seeds_per_event; ++i) {
      verify(*medium.AfterPowerCut(CrashMedium::Unfenced::kSome, ++seed));
    }
  };
  medium.before_event = cut;
  operation();
  medium.before_event = nullptr;
  cut();
}

/// Runs `operation` and calls verify(the medium as the next process sees it) for kills at the same
/// points. `verify` may cut the power of that medium.
inline void ForEachKill(CrashMedium& medium, const std::function<void()>& operation,
                        const std::function<void(CrashMedium&)>& verify) {
  const auto kill = [&] { verify(*medium.AfterKill()); };
  medium.before_event = kill;
  operation();
  medium.before_event = nullptr;
  kill();
}

}  // namespace morsel::pmem
