// Finds errors that a program makes with the blocks of a heap, if MORSEL_GUARD=1.
//
// While a heap is guarded, no thread has a slot of it, so that every call takes the slow
// path, which asks the guard; the fast path knows nothing of it. The heap allocates each
// block a little larger than was asked for, and the bytes behind the wanted size are a
// red zone. A freed block is filled with poison and kept for a while. Only this object
// knows the wanted sizes: the heap on the medium is like any other.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"

namespace morsel::alloc {

/// Ends the process with a message when it finds an error. Its functions call into no heap, so that
/// they may be called with a heap's lock held.
/// Threads  any; one mutex guards all of it.
class Guard {
 public:
  /// Whether the environment asks for a guard: MORSEL_GUARD is 1, or it is unset or empty and
  /// valgrind or AddressSanitizer listens (MarksAreSeen()).
  /// Errors  kInvalidArgument: MORSEL_GUARD is neither 0 nor 1.
  static Result<bool> IsWanted();

  Guard() = default;
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  /// How many bytes to allocate in the heap when size_bytes are wanted.
  static uint64_t BytesFor(uint64_t size_bytes) { return size_bytes + kRedZoneBytesMin; }

  /// Records that a block of usable_bytes was allocated for the wanted size_bytes, and fills its
  /// red zone.
  void Given(void* block, uint64_t size_bytes, uint64_t usable_bytes);

  /// The size that was wanted for a block; nothing if the guard does not know the block, because it
  /// is older. Ends the process if `block` is no block's start or was freed; the message names the
  /// `call`.
  std::optional<uint64_t> SizeOf(const void* block, const char* call);

  /// For a walk over the blocks that the heap has, beside threads that allocate and free: false if
  /// the block was freed. Sets size_bytes to what was wanted, if the guard knows the block.
  bool HasLive(const char* block, uint64_t& size_bytes);

  /// Frees a block: checks its red zone, poisons it and keeps it. usable_bytes counts only for a
  /// block that is older than the guard. Returns the blocks, checked for stores after their free,
  /// that the caller must free in the heap now, so that no more than kept_bytes_max are kept.
  std::vector<void*> Freed(void* block, uint64_t usable_bytes, uint64_t kept_bytes_max);

  /// Checks all blocks. Returns all that are freed and kept, for the caller to free in the heap.
  std::vector<void*> TakeAll();

  /// Whether `address` lies in a block that is freed and kept.
  bool HasFreed(const void* address);
  /// How many bytes the program may not use of the block in which `address` lies: those behind what
  /// it asked for, or all if it has freed the block.
  uint64_t HiddenBytesFrom(const void* address);

  /// While an Opening lives, all of the heap may be read.
  class Opening;

 private:
  struct Block {
    uint64_t size_bytes = 0;
    uint64_t usable_bytes = 0;
    bool given = false;  ///< Given() recorded it; else it is older than the guard
    bool freed = false;
  };
  using Blocks = std::map<char*, Block>;

  static constexpr uint64_t kRedZoneBytesMin = 16;
  static constexpr uint64_t kRedZoneBytesSeen = 256;
  static constexpr uint64_t kPoisonBytesMax = 64 * 1024;
  static constexpr uint64_t kKeptCountMax = 4096;
  static constexpr uint64_t kKeptBytesMax = 64 * 1024 * 1024;

  // With the mutex held.
  Blocks::iterator Find(const void* block, const char* call);
  void CheckRedZone(const Blocks::value_type& entry, const char* when);
  void CheckPoison(const Blocks::value_type& entry);
  void* TakeOldest();
  // The block in which the address lies, freed or not; nullptr: none that the guard knows.
  const Block* BlockAt(const void* address) const;

  Mutex mutex_{LockRank::kGuard};
  Blocks blocks_;
  std::deque<char*> kept_;  ///< freed, oldest first
  uint64_t kept_bytes_ = 0;
};

/// Holds the guard's mutex, so that no block changes meanwhile.
/// Threads  it ends in the thread in which it began, which calls no other function of the guard
///          before that.
class Guard::Opening {
 public:
  /// Does nothing if `guard` is nullptr. It outlives this object.
  explicit Opening(Guard* guard);
  ~Opening();
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

 private:
  Guard* guard_;
};

}  // namespace morsel::alloc
