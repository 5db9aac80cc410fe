// From an address to the slab or the extent that covers it: a word for each unit of
// the range, in memory that is taken as it is touched.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "alloc/heap/segments/run.h"
#include "base/result.h"

namespace morsel::alloc {

/// What is needed to look at a table: a copy serves as long as the table lives.
/// Threads  any.
struct RunView {
  uint64_t base = 0;
  uint64_t unit_count = 0;
  const std::atomic<Run*>* runs = nullptr;

  /// The run that covers the address, if that was entered. Any address may be asked for.
  Run* At(const void* address) const {
    const uint64_t unit = (reinterpret_cast<uint64_t>(address) - base) / kUnitBytes;
    return unit < unit_count ? runs[unit].load(std::memory_order_acquire) : nullptr;
  }
};

/// Threads  At() and view() any; Enter() and Forget() one at a time.
class RunTable {
 public:
  RunTable() = default;
  ~RunTable();
  RunTable(const RunTable&) = delete;
  RunTable& operator=(const RunTable&) = delete;

  /// For `capacity_bytes` from `base` on.
  /// Errors  kNoMemory.
  Status Reserve(const void* base, uint64_t capacity_bytes);

  const RunView& view() const { return view_; }
  Run* At(const void* address) const { return view_.At(address); }

  void Enter(Run* run) { Fill(run->start, run->end(), run); }
  /// Where it covers [begin, end): an extent may be long, and little of it in use.
  void Enter(Run* run, const char* begin, const char* end) {
    Fill(std::max<const char*>(begin, run->start), std::min(end, run->end()), run);
  }
  void Forget(const Run& run) { Fill(run.start, run.end(), nullptr); }

 private:
  void Fill(const char* begin, const char* end, Run* value);

  RunView view_;
  std::atomic<Run*>* runs_ = nullptr;
};

}  // namespace morsel::alloc
