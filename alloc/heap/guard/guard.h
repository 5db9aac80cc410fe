// Finds what a program does wrong with the blocks of a heap: MORSEL_GUARD=1.
//
// While a heap is guarded, no thread has a slot of it, so that all calls go the
// long way, where the guard stands; the short way has nothing of it. A block is
// taken a little larger than was asked for, and what follows is a red zone; a freed
// block is filled with poison and kept for a while. What was asked for is known to
// this object only: the heap on the medium is like any other.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"

namespace morsel::alloc {

/// Ends the process with a sentence where it finds something. Calls into no heap.
/// Threads  any.
class Guard {
 public:
  /// Whether the environment asks for one: MORSEL_GUARD is 1; or it is unset, and valgrind or
  /// AddressSanitizer would see it.
  /// Errors  kInvalidArgument: it is neither 0 nor 1.
  static Result<bool> IsWanted();

  Guard() = default;
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  /// How many bytes to take for a block of size_bytes.
  static uint64_t BytesFor(uint64_t size_bytes) { return size_bytes + kRedZoneBytesMin; }

  /// A block of usable_bytes was allocated for size_bytes of them.
  void Given(void* block, uint64_t size_bytes, uint64_t usable_bytes);

  /// The bytes that were asked for; nothing for a block that is older than the guard.
  std::optional<uint64_t> SizeOf(const void* block, const char* call);

  /// A live block, of usable_bytes if it is older than the guard, is freed. Answers the blocks that
  /// are to be freed in the heap now.
  std::vector<void*> Freed(void* block, uint64_t usable_bytes);

  /// Looks at all blocks, and answers all that were freed and are not in the heap.
  std::vector<void*> TakeAll();

  bool HasFreed(const void* address);

  /// While it lives all of the heap may be read.
  class Opening;

 private:
  struct Block {
    uint64_t size_bytes = 0;
    uint64_t usable_bytes = 0;
    bool given = false;  ///< by this heap; else it is older
    bool freed = false;
  };
  using Blocks = std::map<char*, Block>;

  static constexpr uint64_t kRedZoneBytesMin = 16;
  static constexpr uint64_t kRedZoneBytesSeen = 256;
  static constexpr uint64_t kPoisonBytesMax = 64 * 1024;
  static constexpr uint64_t kKeptCountMax = 4096;
  static constexpr uint64_t kKeptBytesMax = 64 * 1024 * 1024;

  Blocks::iterator Find(const void* block, const char* call);
  void CheckRedZone(const Blocks::value_type& entry, const char* when);
  void CheckPoison(const Blocks::value_type& entry);
  void* TakeOldest();

  Mutex mutex_{LockRank::kGuard};
  Blocks blocks_;
  std::deque<char*> kept_;  ///< freed, oldest first
  uint64_t kept_bytes_ = 0;
};

class Guard::Opening {
 public:
  /// nullptr: nothing is done.
  explicit Opening(Guard* guard);
  ~Opening();
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

 private:
  Guard* guard_;
};

}  // namespace morsel::alloc
