// One thread that works on a heap. Every change keeps the contract, and is logged before and after.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "tests/crash/heap/heap_file.h"
#include "tests/crash/heap/heap_log.h"
#include "tests/crash/random.h"

namespace morsel::crash {

/// What a worker does wrong on purpose, to test the checker.
enum class HeapLie {
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

/// What the threads of a session share beside the heap: which slots are in use by a thread, and
/// places where threads leave objects for each other.
struct HeapTable {
  std::array<std::atomic<bool>, kHeapSlots> busy{};
  std::mutex mutex;
  std::array<std::optional<HeldObject>, 64> places;
};

/// Threads  the thread whose number it has.
class HeapWorker {
 public:
  HeapWorker(HeapFile& file, HeapLog& log, HeapTable& table, uint64_t number, Random& random,
             HeapLie lie)
      : file_(file), log_(log), table_(table), number_(number), random_(random), lie_(lie) {}

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
  /// Allocates a block and forgets it.
  void Lose();
  void FlushFrees() { file_.heap().FlushFrees(); }
  /// Shrinks the heap, if nothing is in the way; it grows by itself.
  void Resize();
  /// Frees the objects that threads have left on the table.
  void ClearTable();

 private:
  uint64_t Claim(bool full);
  void Release(uint64_t slot) { table_.busy[slot].store(false, std::memory_order_release); }
  void Mark(const void* block, uint8_t mark) { log_.marks.Set(file_.base(), block, mark); }
  Object NextObject(uint64_t size_bytes);
  uint64_t RandomSize();
  /// Allocates and fills an object without persisting it. Returns nothing if there was no space; it
  /// has then made some.
  std::optional<HeldObject> Make(uint64_t size_bytes);
  void Persist(const HeldObject& held);
  void Flush(const HeldObject& held);
  void Link(uint64_t slot, const HeldObject& held);
  HeldObject Unlink(uint64_t slot);
  void Free(const HeldObject& held);
  void DropFrom(uint64_t slot);
  void Compare(const HeldObject& held, uint64_t size_bytes);
  void NoSpace();

  HeapFile& file_;
  HeapLog& log_;
  HeapTable& table_;
  uint64_t number_;
  Random& random_;
  HeapLie lie_;
};

}  // namespace morsel::crash
