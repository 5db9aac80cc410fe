// One thread that works on a heap. Every change keeps the contract, and is logged before and after.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "tests/crash/crash_heap.h"

namespace morsel::crash {

/// What a worker does wrong on purpose, to test the checker.
enum class Lie {
  kNone,
  kFreesBeforeUnlinking,  ///< and is killed in between
  kForgetsABlock,         ///< and is killed
  kWritesAfterFreeing,    ///< into memory that another object may have by then
};

/// An object that is linked nowhere.
struct HeldObject {
  char* block = nullptr;
  Object object;
};

/// What the threads of a session share beside the heap: which slots are in use by a thread, places
/// where threads leave objects for each other, and how much they have made.
struct WorkTable {
  std::array<std::atomic<bool>, kSlotsMax> busy{};
  std::atomic<uint64_t> live_bytes = 0;
  std::mutex mutex;
  std::array<std::optional<HeldObject>, 64> places;
};

/// Threads  the thread whose number it has.
class Worker {
 public:
  Worker(CrashHeap& heap, WorkTable& table, uint64_t number, Random& random, Lie lie)
      : heap_(heap),
        log_(heap.log()),
        slots_(heap.workload().slots),
        table_(table),
        number_(number),
        random_(random),
        lie_(lie) {}

  /// Does one operation, which the seed chooses.
  void Work();
  /// Frees the objects that threads have left on the table.
  void ClearTable();

 private:
  /// Allocates, fills and persists an object, then links it in an empty slot.
  void Put();
  /// The same for many objects, of one size or of any, with one fence for all.
  void Batch();
  /// Unlinks an object, whoever made it, persists that, and then frees it. Sometimes drops many.
  void Drop();
  /// Links a new object where another one was.
  void Replace();
  /// Unlinks an object, resizes it, and links it again.
  void Reallocate();
  /// Leaves an object for other threads; links or frees one that another thread has left.
  void PassOn();
  /// Allocates and frees blocks that are never linked.
  void Scratch();
  /// Fills many slots with objects of one size, or empties them, so that whole slabs become free.
  void Sweep();
  /// Allocates a block and forgets it.
  void Lose();
  void Do(Operation operation);

  bool ClaimThis(uint64_t slot, bool full);
  uint64_t Claim(bool full);
  void Release(uint64_t slot) { table_.busy[slot].store(false, std::memory_order_release); }
  Object NextObject(uint64_t size_bytes);
  uint64_t RandomSize();
  /// Allocates and fills an object without persisting it. Returns nothing if there was no space; it
  /// has then made some.
  std::optional<HeldObject> Make(uint64_t size_bytes);
  void Persist(const HeldObject& held);
  /// Links objects that are persisted in slots that are claimed, with one fence for all.
  struct Linking {
    uint64_t slot;
    HeldObject held;
  };
  void Link(std::span<const Linking> all);
  void Link(uint64_t slot, const HeldObject& held) {
    const Linking one = {slot, held};
    Link({&one, 1});
  }
  HeldObject Unlink(uint64_t slot);
  void Free(const HeldObject& held);
  void DropFrom(uint64_t slot);
  void Compare(const HeldObject& held, uint64_t size_bytes);
  void NoSpace();

  CrashHeap& heap_;
  WorkLog& log_;
  uint64_t slots_;
  WorkTable& table_;
  uint64_t number_;
  Random& random_;
  Lie lie_;
};

}  // namespace morsel::crash
