#include "tests/crash/work_checker.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <thread>
#include <utility>
#include <vector>

#include "alloc/heap/threads/thread_heap.h"
#include "base/error.h"

namespace morsel::crash {
namespace {

std::string Hexadecimal(const void* address) {
  char text[24];
  std::snprintf(text, sizeof text, "%p", address);
  return text;
}

class Check {
 public:
  explicit Check(CrashHeap& heap) : heap_(heap), log_(heap.log()), allocated_(heap.Allocated()) {}

  void Slots();
  /// What is allocated and reached from nowhere; freed if all else is well.
  void Unreached(Leak* leak);
  void Fresh(uint64_t count, Random& random);
  void Reopened();
  bool good() const { return findings_.empty(); }
  Findings findings() { return std::move(findings_); }

 private:
  struct Linked {
    const void* address;
    Object object;
  };

  void Slot(uint64_t slot);
  std::string WhyNot(const void* found, const Object& due) const;
  void Attribute(const Block& block, Leak* leak, std::array<uint64_t, kThreadsMax>* freed);
  void NeverGiven(const std::vector<Block>& unreached);
  void Bytes(const char* when);
  void Report(const std::string& message) { findings_.push_back(message); }

  CrashHeap& heap_;
  WorkLog& log_;
  std::vector<Block> allocated_;
  std::vector<Owned> reachable_;
  std::vector<Linked> linked_;
  Findings findings_;
};

// Empty if `found` is the object that is due, in a block that has room for it.
std::string Check::WhyNot(const void* found, const Object& due) const {
  if (found == nullptr) return due ? "it is empty where " + Describe(due) + " is due" : "";
  if (!due) return "it points to " + Hexadecimal(found) + " where no object is due";
  const Block* const block = BlockAt(allocated_, found);
  if (block == nullptr) {
    return Describe(due) + " is linked at " + Hexadecimal(found) +
           ", which is not the start of an allocated block";
  }
  if (block->size_bytes < due.size_bytes) {
    return Describe(due) + " is in a block of " + std::to_string(block->size_bytes) + " bytes";
  }
  return heap_.Difference(found, due);
}

void Check::Slot(uint64_t slot) {
  SlotLog& logged = log_.slots[slot];
  const void* const found = heap_.Pointee(slot);
  const std::string name = "slot " + std::to_string(slot);
  std::string why = WhyNot(found, logged.now);
  if (!why.empty() && logged.changing.load()) {
    const std::string why_not_next = WhyNot(found, logged.next);
    why = why_not_next.empty() ? "" : "neither before: " + why + "; nor after: " + why_not_next;
    if (why.empty()) logged.now = logged.next;
  }
  if (!why.empty()) return Report(name + ": " + why);
  logged.changing.store(false);
  if (found == nullptr) return;
  reachable_.push_back({*BlockAt(allocated_, found), name});
  linked_.push_back({found, logged.now});
}

void Check::Slots() {
  reachable_ = heap_.BlocksOfSlots();
  for (const auto& [block, owner] : reachable_) {
    const Block* const found = BlockAt(allocated_, PointerTo(block));
    if (found == nullptr || *found != block) return Report(owner + " is not allocated");
  }
  for (uint64_t slot = 0; slot < heap_.workload().slots; ++slot) Slot(slot);
}

void Check::Attribute(const Block& block, Leak* leak, std::array<uint64_t, kThreadsMax>* freed) {
  const uint8_t mark = heap_.MarkOf(PointerTo(block));
  if (mark >= kFreed) {
    leak->freed = std::max(leak->freed, ++(*freed)[mark - kFreed]);
  } else if (mark >= kHeld) {
    ++leak->never_linked;
  } else {
    ++leak->never_given;
  }
}

void Check::NeverGiven(const std::vector<Block>& unreached) {
  std::vector<Block> never_given;
  uint64_t linked = 0;
  for (const Block& block : unreached) {
    const uint8_t mark = heap_.MarkOf(PointerTo(block));
    if (mark == 0) never_given.push_back(block);
    if (mark == kLinked) ++linked;
  }
  uint64_t taking = 0;
  for (ThreadLog& thread : log_.threads) taking += thread.taking.exchange(false) ? 1 : 0;
  const uint64_t more = MoreThanTakenAhead(never_given, heap_.workload().takers_max) + linked;
  if (more <= taking) return;
  Report(std::to_string(never_given.size()) + " blocks are allocated that nobody was given, and " +
         std::to_string(linked) + " that were linked; that is " + std::to_string(more) +
         " more than threads may take ahead, and " + std::to_string(taking) + " were being taken");
}

void Check::Unreached(Leak* leak) {
  const std::string overlap = FirstOverlap(reachable_);
  if (!overlap.empty()) return Report(overlap);
  const std::vector<Block> reachable = BlocksOf(reachable_);
  const std::vector<Block> unreached = Without(allocated_, reachable);
  std::array<uint64_t, kThreadsMax> freed{};
  for (const Block& block : unreached) Attribute(block, leak, &freed);
  NeverGiven(unreached);
  if (leak->freed > alloc::kFreesUnflushedMax) {
    Report(std::to_string(leak->freed) + " blocks that one thread freed are allocated");
  }
  if (!good()) return;
  for (const Block& block : unreached) heap_.Free(PointerTo(block));
  allocated_ = heap_.Allocated();
  if (allocated_ != reachable) Report("freeing what nobody reaches did not leave what is reached");
  heap_.ClearMarks();
}

void Check::Bytes(const char* when) {
  for (const Linked& linked : linked_) {
    const std::string difference = heap_.Difference(linked.address, linked.object);
    if (!difference.empty()) return Report(when + difference);
  }
}

void Check::Fresh(uint64_t count, Random& random) {
  const auto allocate = [&](uint64_t size_bytes) -> Block {
    void* const block = heap_.Allocate(size_bytes, random);
    if (block == nullptr) return {};
    return {reinterpret_cast<uint64_t>(block), heap_.UsableBytes(block)};
  };
  const std::vector<Block> fresh = AllocateFresh(allocate, count, random);
  if (fresh.size() < count) {
    Report("only " + std::to_string(fresh.size()) + " fresh blocks: " + LastError());
  }
  std::vector<Owned> owned = reachable_;
  for (const Block& block : fresh) owned.push_back({block, "a fresh block"});
  const std::string overlap = FirstOverlap(std::move(owned));
  if (!overlap.empty()) return Report(overlap);
  for (const Block& block : fresh) {
    heap_.Write(PointerTo(block), {.serial = 1,
                                   .owner = kThreadsMax + 1,
                                   .size_bytes = block.size_bytes,
                                   .seed = random.Any()});
  }
  Bytes("after fresh allocations: ");
  // Half of them by another thread.
  const size_t half = fresh.size() / 2;
  std::thread([&] {
    for (size_t i = 0; i < half; ++i) heap_.Free(PointerTo(fresh[i]));
  }).join();
  for (size_t i = half; i < fresh.size(); ++i) heap_.Free(PointerTo(fresh[i]));
  if (heap_.Allocated() != allocated_) Report("fresh blocks did not come and go alone");
}

void Check::Reopened() {
  std::string why = heap_.Close();
  if (why.empty()) why = heap_.Open();
  if (!why.empty()) return Report(why);
  if (heap_.Allocated() != allocated_) {
    Report("a clean close and an open changed what is allocated");
  }
  Bytes("after a clean close and an open: ");
}

}  // namespace

Findings CheckWork(CrashHeap& heap, const CheckOptions& options, Leak* leak) {
  if (std::string why = heap.Open(); !why.empty()) return {why};
  if (std::string why = heap.WhyInvalid(); !why.empty()) return {why};
  Check check(heap);
  check.Slots();
  if (check.good()) check.Unreached(leak);
  Random random(options.seed);
  if (check.good()) check.Fresh(options.fresh_blocks, random);
  if (check.good()) check.Reopened();
  return check.findings();
}

}  // namespace morsel::crash
