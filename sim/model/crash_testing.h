// For tests: memory that forgets what was not flushed and fenced, and operations on it that are cut
// off at every flush and fence.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>

#include "base/bits.h"
#include "base/units.h"
#include "os/testing/seed_testing.h"
#include "sim/model/crash_recorder_testing.h"

namespace morsel::pmem {

/// Memory of its own, and a recorder over it.
class CrashMedium {
 public:
  /// All zeros, and that is durable.
  explicit CrashMedium(size_t size_bytes) : CrashMedium(Zeros(AlignUp(size_bytes, kPageBytes))) {}
  CrashMedium(const CrashMedium&) = delete;
  CrashMedium& operator=(const CrashMedium&) = delete;

  char* memory() const { return memory_.begin.get(); }
  size_t size_bytes() const { return memory_.size_bytes; }
  Persist persist() { return recorder_.persist(); }

  /// Sets what is called before each flush and each fence takes effect.
  void set_before_event(const std::function<void()>& call) {
    const auto counting = [call](uint64_t& count) {
      return [call, &count] {
        ++count;
        if (call) call();
      };
    };
    recorder_.set_before_flush(counting(flushes));
    recorder_.set_before_fence(counting(fences));
  }
  uint64_t flushes = 0;
  uint64_t fences = 0;

  /// Makes everything visible durable, e.g. what a test prepared.
  void Settle() {
    recorder_ = CrashRecorder(memory_.spans());
    set_before_event(nullptr);
  }

  /// The medium after a power cut at this moment that keeps only what is durable.
  std::unique_ptr<CrashMedium> AfterPowerCut() {
    std::unique_ptr<CrashMedium> after;
    recorder_.WithDurable([&] { after = Copied(); });
    return after;
  }

  /// Calls verify(the medium after a power cut at this moment) for as many images as
  /// ForEachChoice() visits.
  void ForEachImage(uint64_t images_max, std::mt19937_64& random,
                    const std::function<void(CrashMedium&)>& verify) {
    recorder_.ForEachImage(images_max, random, [&] { verify(*Copied()); });
  }

  /// The medium as the next process sees it after a kill at this moment: everything is visible, and
  /// no more is durable than before.
  std::unique_ptr<CrashMedium> AfterKill() {
    recorder_.Observe();
    std::unique_ptr<CrashMedium> after = Copied();
    after->recorder_ = recorder_.AfterKill(after->memory_.spans());
    after->set_before_event(nullptr);
    return after;
  }

 private:
  struct Memory {
    std::vector<CrashRecorder::Span> spans() const { return {{begin.get(), size_bytes}}; }
    std::unique_ptr<char, decltype(&std::free)> begin;
    size_t size_bytes;
  };
  static Memory Zeros(size_t size_bytes) {
    auto* const memory = static_cast<char*>(std::aligned_alloc(kPageBytes, size_bytes));
    std::memset(memory, 0, size_bytes);
    return {{memory, &std::free}, size_bytes};
  }

  explicit CrashMedium(Memory memory) : memory_(std::move(memory)), recorder_(memory_.spans()) {
    set_before_event(nullptr);
  }

  /// What is visible, as a medium on which it is durable.
  std::unique_ptr<CrashMedium> Copied() const {
    auto copy = std::make_unique<CrashMedium>(size_bytes());
    std::memcpy(copy->memory(), memory(), size_bytes());
    copy->Settle();
    return copy;
  }

  Memory memory_;
  CrashRecorder recorder_;
};

/// Runs `operation`, which changes `medium`, and calls verify(the medium after a power cut) for
/// power cuts at every flush, at every fence and at the end, for at most `images_max` at each.
inline void ForEachPowerCut(CrashMedium& medium, const std::function<void()>& operation,
                            const std::function<void(CrashMedium&)>& verify,
                            uint64_t images_max = 32) {
  std::mt19937_64 random(TestSeed(1));
  const auto cut = [&] { medium.ForEachImage(images_max, random, verify); };
  medium.set_before_event(cut);
  operation();
  medium.set_before_event(nullptr);
  cut();
}

/// Runs `operation` and calls verify(the medium as the next process sees it) for kills at the same
/// points. `verify` may cut the power of that medium.
inline void ForEachKill(CrashMedium& medium, const std::function<void()>& operation,
                        const std::function<void(CrashMedium&)>& verify) {
  const auto kill = [&] { verify(*medium.AfterKill()); };
  medium.set_before_event(kill);
  operation();
  medium.set_before_event(nullptr);
  kill();
}

}  // namespace morsel::pmem
