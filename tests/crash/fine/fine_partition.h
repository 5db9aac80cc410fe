// One partition of a fine morsel and the changes that its writer makes in it. Every change keeps
// the contract, and is logged before and after.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "morsel/morsel.h"
#include "tests/crash/fine/fine_log.h"
#include "tests/crash/random.h"

namespace morsel::crash {

/// What a writer does wrong on purpose, to test the checker.
enum class Lie {
  kNone,
  kFreesBeforeUnlinking,  ///< and is killed in between
  kForgetsABlock,         ///< and is killed
};

/// Threads  one at a time.
class FinePartition {
 public:
  FinePartition(FineLog& log, uint64_t number, morsel_t* morsel, Lie lie);

  /// Allocates, fills and persists an object, then links it in an empty slot.
  void Put(Random& random);
  /// The same for several objects, with one fence for all.
  void PutBatch(Random& random);
  /// Unlinks an object, persists that, and then frees the object.
  void Drop(Random& random);
  /// Links a new object where another one was.
  void Replace(Random& random);
  /// Allocates, reallocates and frees blocks that are never linked.
  void Scratch(Random& random);
  /// Fills many slots with objects of one size, or empties them, so that whole slabs become free.
  void Sweep(Random& random);

 private:
  void MakeArray();
  bool PutInto(uint64_t slot, uint64_t size_bytes, Random& random);
  void DropFrom(uint64_t slot, Random& random);
  void* Allocate(uint64_t size_bytes, Random& random);
  void* AllocateAnyhow(uint64_t size_bytes, Random& random);
  void Free(void* block);
  void Mark(void* block, uint8_t mark) { whole_.marks.Set(morsel_base(morsel_), block, mark); }
  void* Persisted(const Object& object, Random& random);
  void Link(uint64_t slot, void* object);
  Object NextObject(uint64_t size_bytes, Random& random);
  uint64_t RandomSize(Random& random) const;
  /// The first slot in [begin, end), from a random one on, that is full or is not; or kSlots.
  uint64_t FindSlot(bool full, uint64_t begin, uint64_t end, Random& random) const;
  void NoSpace();

  FineLog& whole_;
  PartitionLog& log_;
  uint64_t number_;
  morsel_t* morsel_;
  Lie lie_;
  uint64_t live_bytes_ = 0;
};

}  // namespace morsel::crash
