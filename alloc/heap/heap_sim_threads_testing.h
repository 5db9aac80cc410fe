// Targets of the simulator beside HeapTarget: threads that end while others go on, and free
// and persist in their last destructors; lines of bits that are full until another thread
// frees a block of them.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "alloc/heap/heap_sim_testing.h"

namespace morsel::alloc {

/// Runs what it was given when its thread ends: in a destructor that comes after the heap was told
/// of that end, if it is made before the thread's first call of the heap.
class AtThreadsEnd {
 public:
  /// The calling thread's. The first call makes it.
  static AtThreadsEnd& Get();
  void Add(std::function<void()> work) { work_.push_back(std::move(work)); }

 private:
  AtThreadsEnd() = default;
  ~AtThreadsEnd();
  std::vector<std::function<void()>> work_;
};

/// A HeapTarget whose threads end one after the other.
class HeapEndsTarget : public HeapTarget {
 public:
  enum OwnOperation : uint32_t {
    kLinkAtEnd = kOwnOperations,  ///< when the thread ends, links an object of 64 bytes
    kDropAtEnd,                   ///< when the thread ends, unlinks and frees the newest object
    kAwaitEnd,                    ///< waits until a thread begins its work at its end
  };

  std::string Name() const override { return "heap whose threads end"; }
  std::string NameOf(uint32_t operation) const override;
  std::string Recover(sim::Log& log) override;
  void Perform(uint32_t operation, sim::Log& log) override;

 private:
  std::atomic<bool> ending_ = false;
};

/// A HeapTarget with a slab that has little room, so that its line of bits becomes full.
class HeapFullLineTarget : public HeapTarget {
 public:
  enum OwnOperation : uint32_t {
    kFillLine =
        kOwnOperations,  ///< allocates the slab's free blocks, of which one was freed before
    kFreeUntilFlushed,   ///< frees blocks of another slab until frees are flushed
    kLinkLast,           ///< persists and links the block that was allocated last
    kFreeOfFull,         ///< waits for kFreeUntilFlushed; frees a block of the full slab
  };

  HeapFullLineTarget() : HeapTarget(Room::kTight) {}

  std::string Name() const override { return "heap with a full line"; }
  std::string NameOf(uint32_t operation) const override;
  void Prepare() override;
  std::string Recover(sim::Log& log) override;
  void Perform(uint32_t operation, sim::Log& log) override;

 private:
  void FillLine(sim::Log& log);
  void FreeUntilFlushed(sim::Log& log);
  void FreeOfFull(sim::Log& log);

  std::vector<char*> full_;   ///< objects of the slab with little room
  std::vector<char*> other_;  ///< objects of another slab
  char* last_ = nullptr;
  std::atomic<bool> filled_ = false;
  std::atomic<bool> flushes_soon_ = false;
};

}  // namespace morsel::alloc
