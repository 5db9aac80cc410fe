// A target of the simulator: a heap, and a program that keeps objects in it under the
// fine contract. Objects hang in slots, whose changes are persisted. An object is
// persisted before it is linked, and durably unlinked before it is freed.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "alloc/heap/heap_memory_testing.h"
#include "alloc/heap/heap_sim_promises_testing.h"
#include "sim/stores/target.h"

namespace morsel::alloc {

/// Several threads may run operations at once. A slot belongs to one thread at a time.
class HeapTarget : public sim::Target {
 public:
  enum Operation : uint32_t {
    kLinkSmall,   ///< an object of 64 bytes
    kLinkMiddle,  ///< one of 3,000 bytes
    kLinkExtent,  ///< one of 130,000 bytes, which is an extent of two units
    kLinkThree,   ///< one of each, all flushed before one fence
    kDropNewest,  ///< unlinks and frees the newest object
    kDropOldest,
    kShrink,      ///< unlinks the newest, reallocates it to 40,000 bytes, and links that
    kGrow,        ///< the same, to 200,000 bytes: four units
    kLose,        ///< allocates an object and never links it
    kSettle,      ///< makes all frees durable
    kReopen,      ///< closes the heap and opens it again
    kOperations,  // a single thread can do those before this one
    kHandOver = kOperations,  ///< allocates and fills an object, for others
    kTakeOver,                ///< waits for such an object, persists and links it
    kHandBack,                ///< unlinks an object, for others
    kFreeTaken,               ///< waits for such an object, and frees it
    kOwnOperations,           ///< those of targets that are built on this one
  };

  /// A roomy heap has two objects at first. A tight one has only four free units, so that each
  /// class and each extent needs units that another has given back.
  enum class Room { kRoomy, kTight };
  explicit HeapTarget(Room room = Room::kRoomy, uint64_t size_bytes = kSubtreeBytes);
  ~HeapTarget() override;

  std::string Name() const override { return "heap"; }
  std::string NameOf(uint32_t operation) const override;
  std::vector<sim::Span> Memory() override;
  void Prepare() override;
  std::string Recover(sim::Log& log) override;
  void Perform(uint32_t operation, sim::Log& log) override;
  std::string Verify(const sim::Log& log) override;
  void Forget(bool orderly) override;
  sim::Script GoOn(uint64_t pick) override;

 protected:
  static constexpr uint64_t kSlots = 8;

  uint64_t* Slots() const;
  void FillUp();
  HeapPlace Place() const { return medium_.Place(size_bytes_); }
  void Open();
  std::string CheckSlot(uint64_t slot, const HeapPromises& promises, sim::Log& log);
  std::string CheckFresh();
  std::string CheckObject(const char* object, uint64_t serial) const;
  std::string CheckLeak(const sim::Log& log, bool settled);
  /// Bytes that are allocated and hang in no slot.
  uint64_t UnlinkedBytes();
  uint64_t ClaimSlot(bool linked, bool newest);
  void NoteMade(uint64_t serial, uint64_t size_bytes, bool anew, sim::Log& log) const;
  void Fill(char* object, uint64_t serial, uint64_t size_bytes) const;
  static uint64_t SerialOf(const char* object);
  char* Make(uint64_t size_bytes, sim::Log& log);
  void Link(uint64_t slot, const char* object, sim::Log& log);
  void LinkAll(std::initializer_list<uint64_t> sizes, sim::Log& log);
  char* Unlink(uint64_t slot, sim::Log& log);
  void Free(char* object, sim::Log& log);
  void Drop(bool newest, sim::Log& log);
  void Resize(uint64_t size_bytes, sim::Log& log);
  void TakeOver(sim::Log& log);
  void Settle(bool reopen, sim::Log& log);

  Room room_;
  const uint64_t size_bytes_;
  HeapMemory medium_;
  char* const memory_;
  uint64_t watched_bytes_ = 0;
  uint64_t filled_bytes_ = 0;  ///< what FillUp() has allocated
  sim::Log prepared_;          ///< the log of what Prepare() has linked
  std::unique_ptr<Heap> heap_;
  std::string complaint_;  ///< what an operation has found wrong
  uint64_t serials_ = 0;
  std::vector<bool> claimed_;  ///< slots that an operation is working on
  std::atomic<char*> handed_over_ = nullptr;
  std::atomic<char*> handed_back_ = nullptr;
};

}  // namespace morsel::alloc
