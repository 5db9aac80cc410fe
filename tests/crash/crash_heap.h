// A heap that threads work on until they are killed, as workers and checkers see it: by its own
// functions, or as a morsel through the C API.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tests/crash/blocks.h"
#include "tests/crash/random.h"
#include "tests/crash/work_log.h"

namespace morsel::crash {

/// What is done to a heap, and how much.
struct Workload {
  uint64_t slots;            ///< up to kSlotsMax
  uint64_t whole_bytes_max;  ///< of larger objects only some pieces are written and compared
  uint64_t live_bytes_max;   ///< with more than that, objects are small
  uint64_t operations_max;   ///< of a thread, in a session
  uint64_t takers_max;       ///< how many threads may have taken blocks ahead
  /// How many of 1000 objects are larger than 1 GiB; extents; larger than 1 KiB.
  uint64_t giants;
  uint64_t extents;
  uint64_t middles;
  std::array<uint64_t, static_cast<uint64_t>(Operation::kChosen)> weights;
};

/// Functions that find trouble in words return empty where there is none. All others end the
/// process by Fail() where a call fails that must not.
/// Threads  any; Open(), Close() and what checks need all others to be outside.
class CrashHeap {
 public:
  CrashHeap(const Workload& workload, WorkLog& log, std::span<uint8_t> marks)
      : workload_(workload), log_(log), marks_(marks) {}
  virtual ~CrashHeap() = default;
  CrashHeap(const CrashHeap&) = delete;
  CrashHeap& operator=(const CrashHeap&) = delete;

  const Workload& workload() const { return workload_; }
  WorkLog& log() const { return log_; }
  void Count(Operation operation) { ++log_.counts[static_cast<uint64_t>(operation)]; }

  virtual std::string Open() = 0;
  virtual std::string Close() = 0;
  /// What a session does before its threads begin.
  virtual void BeginSession(Random&) {}

  virtual void* base() const = 0;
  /// nullptr: there is no space.
  virtual void* Allocate(uint64_t size_bytes, Random& random) = 0;
  virtual void* Reallocate(void* block, uint64_t size_bytes) = 0;
  virtual void Free(void* block) = 0;
  virtual uint64_t UsableBytes(const void* block) = 0;
  virtual void Flush(const void* address, uint64_t size_bytes) = 0;
  virtual void Fence() = 0;
  /// Makes a whole state durable, of frees at least.
  virtual void Settle() = 0;
  /// Shrinks or grows the heap, if nothing is in the way.
  virtual void Resize(Random& random) = 0;

  virtual void* Pointee(uint64_t slot) = 0;
  /// Sets the pointer of a slot, for good after the next fence.
  virtual void Point(uint64_t slot, void* object) = 0;

  virtual std::string WhyInvalid() = 0;
  /// All allocated blocks that are not the library's own, by address.
  virtual std::vector<Block> Allocated() = 0;
  /// Those of them that hold the slots.
  virtual std::vector<Owned> BlocksOfSlots() { return {}; }

  void Mark(const void* block, uint8_t mark);
  uint8_t MarkOf(const void* block) const;
  void ClearMarks();

  /// Writes an object.
  void Write(void* at, const Object& object) const;
  /// Compares the first `size_bytes` bytes, which are still the object's. Returns empty, or what
  /// differs.
  std::string Difference(const void* at, const Object& object, uint64_t size_bytes) const;
  std::string Difference(const void* at, const Object& object) const {
    return Difference(at, object, object.size_bytes);
  }

 private:
  uint8_t& PlaceOf(const void* block) const;

  const Workload& workload_;
  WorkLog& log_;
  std::span<uint8_t> marks_;
};

}  // namespace morsel::crash
