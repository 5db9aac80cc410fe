// One thread that works on a heap: every change keeps the contract and is told to
// the log before and after.
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

/// What a worker does wrong on purpose, so that the checker can be tried.
enum class HeapLie {
  kNone,
  kFreesBeforeUnlinking,  ///< and is killed in between
  kForgetsABlock,         ///< and is killed
  kWritesAfterFreeing,    ///< where another object may be by then
};

/// An object that is linked nowhere.
struct HeldObject {
  char* block = nullptr;
  Object object;
};

/// What the threads of a session share beside the heap: which slots somebody is busy with, and
/// places where one leaves objects for others.
struct HeapTable {
  std::array<std::atomic<bool>, kHeapSlots> busy{};
  std::mutex mutex;
  std::array<std::optional<HeldObject>, 64> places;
};

/// Threads  the one whose number it has.
class HeapWorker {
 public:
  HeapWorker(HeapFile& file, HeapLog& log, HeapTable& table, uint64_t number, Random& random,
             HeapLie lie)
      : file_(file), log_(log), table_(table), number_(number), random_(random), lie_(lie) {}

  /// Allocates, fills and persists an object, then links it in an empty slot.
  void Put();
  /// The same of many objects of one size or of any, with one fence for all.
  void Batch();
  /// Unlinks an object, whoever made it, persists that, then frees it; or many of them.
  void Drop();
  /// Links a new object where another one was.
  void Replace();
  /// Unlinks an object, resizes it, and links it again.
  void Reallocate();
  /// Leaves an object for others; links or frees what another has left.
  void PassOn();
  /// Allocates and frees blocks that are never linked.
  void Scratch();
  /// Allocates a block that nobody will ever reach.
  void Lose();
  void Settle() { file_.heap().FlushFrees(); }
  /// Shrinks the heap, if nothing is in the way; it grows by itself.
  void Resize();
  /// Frees what lies on the table.
  void ClearTable();

 private:
  uint64_t Claim(bool full);
  void Release(uint64_t slot) { table_.busy[slot].store(false, std::memory_order_release); }
  void Mark(const void* block, uint8_t mark) { log_.marks.Set(file_.base(), block, mark); }
  Object NextObject(uint64_t size_bytes);
  uint64_t RandomSize();
  /// Filled, not persisted. Empty: there is no space, and some was made.
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
