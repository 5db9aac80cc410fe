// For tests: what a power cut may leave of memory whose stores nobody announces.
//
// It is a source of events for the crash model (crash_model.h). The recorder compares lines with
// what it saw last: flushed lines at a flush, all lines at Observe() and before it forms images.
// The words that changed meanwhile count as stored then, in the order of their addresses.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "pmem/persist/persist.h"
#include "sim/model/crash_model.h"
#include "sim/model/image_choices.h"
#include "sim/model/medium_state.h"

namespace morsel::pmem {

/// Threads  one call at a time, and no stores meanwhile.
class CrashRecorder {
 public:
  using Span = sim::Span;

  /// What the spans hold now is durable. They ascend.
  /// Memory between them is not watched and keeps what is stored there.
  explicit CrashRecorder(std::vector<Span> spans);
  /// The spans hold `visible`, or will before the first flush, and some of it is undecided.
  CrashRecorder(std::vector<Span> spans, std::vector<sim::Line> visible,
                sim::MediumState undecided);
  CrashRecorder(CrashRecorder&&) = default;
  CrashRecorder& operator=(CrashRecorder&&) = default;

  /// A recorder for the process that comes after a kill at this moment, over the same memory or
  /// over `copy`, which holds the same. All that was stored has been observed.
  CrashRecorder AfterKill(std::vector<Span> copy = {}) const;

  /// A table of flush and fence that records into this object, which must stay where it is.
  Persist persist();

  /// Sets what is called when a flush or a fence begins. At that moment a crash may still leave all
  /// that it may have left since the last fence. The functions must leave the memory as it was.
  void set_before_flush(std::function<void()> call) { before_flush_ = std::move(call); }
  void set_before_fence(std::function<void()> call) { before_fence_ = std::move(call); }

  /// Notes what was stored. Call it where stores to one line are to be distinguished. It reads all
  /// of the memory.
  void Observe();

  /// What is visible and what is undecided, as of the last Observe(). The state knows no lines of
  /// which nothing is.
  const std::vector<sim::Line>& visible() const { return seen_; }
  const sim::MediumState& state() const { return state_; }

  /// How many lines may be lost, in part or as a whole, as of the last Observe().
  uint64_t undecided_lines() const { return state_.undecided().size(); }

  /// Puts images that a crash may leave into the memory, one after the other, and calls `visit` for
  /// each. `visit` may store what it likes. Restores the memory afterwards. ForEachChoice() says
  /// which images it visits.
  void ForEachImage(uint64_t images_max, std::mt19937_64& random,
                    const std::function<void()>& visit);

  /// The same for the one image that keeps only what is durable.
  void WithDurable(const std::function<void()>& visit);

  /// Calls `visit`, which may store what it likes. Restores the memory afterwards.
  void WithMemory(const std::function<void()>& visit);

 private:
  char* AddressOf(sim::LineNumber line) const;
  void ObserveLines(sim::LineNumber first, uint64_t count, const char* memory);
  void Flush(const void* address, uint64_t size_bytes);
  void Fence();
  uint8_t ThisThread();
  void WithImage(const sim::Choice& choice, const std::function<void()>& visit);
  void Restore();

  std::vector<Span> spans_;
  std::vector<sim::Line> seen_;
  sim::MediumState state_;
  std::map<std::thread::id, uint8_t> threads_;  ///< that have flushed and not fenced since
  std::function<void()> before_flush_;
  std::function<void()> before_fence_;
};

}  // namespace morsel::pmem
