#include "tests/crash/heap/heap_checker.h"

#include <algorithm>
#include <array>
#include <thread>
#include <vector>

#include "alloc/heap/heap_testing.h"
#include "base/error.h"
#include "tests/crash/heap/heap_file.h"

namespace morsel::crash {
namespace {

class Check {
 public:
  Check(HeapFile& file, HeapLog& log) : file_(file), log_(log), allocated_(file.Allocated()) {}

  void Slots();
  /// What is allocated and reached from nowhere; freed if all else is well.
  void Unreached(HeapLeak* leak);
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
  void Attribute(const Block& block, HeapLeak* leak, std::array<uint64_t, kHeapThreadsMax>* freed);
  void NeverGiven(const std::vector<Block>& unreached);
  void Bytes(const char* when);
  void Report(const std::string& message) { findings_.push_back(message); }

  HeapFile& file_;
  HeapLog& log_;
  std::vector<Block> allocated_;
  std::vector<Owned> reachable_;
  std::vector<Linked> linked_;
  Findings findings_;
};

// Empty if `found` is the object that is due, in a block that has room for it.
std::string Check::WhyNot(const void* found, const Object& due) const {
  if (found == nullptr) return due ? "it is empty where " + Describe(due) + " is due" : "";
  if (!due) return "it points somewhere where no object is due";
  const Block* const block = BlockAt(allocated_, found);
  if (block == nullptr) return Describe(due) + " is not in an allocated block";
  if (block->size_bytes < due.size_bytes) return Describe(due) + " is in too small a block";
  return HeapFile::Difference(found, due, due.size_bytes);
}

void Check::Slot(uint64_t slot) {
  HeapSlotLog& logged = log_.slots[slot];
  const void* const found = file_.Pointee(slot);
  const std::string name = "slot " + std::to_string(slot);
  std::string why = WhyNot(found, logged.now);
  if (!why.empty() && logged.changing.load()) {
    why = WhyNot(found, logged.next);
    if (why.empty()) logged.now = logged.next;
  }
  if (!why.empty()) return Report(name + ": " + why);
  logged.changing.store(false);
  if (found == nullptr) return;
  reachable_.push_back({*BlockAt(allocated_, found), name});
  linked_.push_back({found, logged.now});
}

void Check::Slots() {
  for (uint64_t slot = 0; slot < kHeapSlots; ++slot) Slot(slot);
}

void Check::Attribute(const Block& block, HeapLeak* leak,
                      std::array<uint64_t, kHeapThreadsMax>* freed) {
  const uint8_t mark = log_.marks.Get(file_.base(), PointerTo(block));
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
    const uint8_t mark = log_.marks.Get(file_.base(), PointerTo(block));
    if (mark == 0) never_given.push_back(block);
    if (mark == kLinked) ++linked;
  }
  uint64_t taking = 0;
  for (HeapThreadLog& thread : log_.threads) taking += thread.taking.exchange(false) ? 1 : 0;
  const uint64_t more = MoreThanTakenAhead(never_given, kHeapThreadsMax) + linked;
  if (more <= taking) return;
  Report(std::to_string(never_given.size()) + " blocks are allocated that nobody was given, and " +
         std::to_string(linked) + " that were linked; that is " + std::to_string(more) +
         " more than threads may take ahead, and " + std::to_string(taking) + " were being taken");
}

void Check::Unreached(HeapLeak* leak) {
  const std::string overlap = FirstOverlap(reachable_);
  if (!overlap.empty()) return Report(overlap);
  const std::vector<Block> reachable = BlocksOf(reachable_);
  const std::vector<Block> unreached = Without(allocated_, reachable);
  std::array<uint64_t, kHeapThreadsMax> freed{};
  for (const Block& block : unreached) Attribute(block, leak, &freed);
  NeverGiven(unreached);
  if (leak->freed > alloc::kFreesUnflushedMax) {
    Report(std::to_string(leak->freed) + " blocks that one thread freed are allocated");
  }
  if (!good()) return;
  for (const Block& block : unreached) file_.heap().Free(PointerTo(block));
  allocated_ = file_.Allocated();
  if (allocated_ != reachable) Report("freeing what nobody reaches did not leave what is reached");
  log_.marks.Clear();
}

void Check::Bytes(const char* when) {
  for (const Linked& linked : linked_) {
    const std::string difference =
        HeapFile::Difference(linked.address, linked.object, linked.object.size_bytes);
    if (!difference.empty()) return Report(when + difference);
  }
}

void Check::Fresh(uint64_t count, Random& random) {
  alloc::Heap& heap = file_.heap();
  const auto allocate = [&](uint64_t size_bytes) -> Block {
    const Result<void*> block = heap.Allocate(size_bytes, 16);
    if (!block) return {};
    return {reinterpret_cast<uint64_t>(*block), heap.UsableBytes(*block)};
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
    HeapFile::Write(PointerTo(block), {.serial = 1,
                                       .owner = kHeapThreadsMax + 1,
                                       .size_bytes = block.size_bytes,
                                       .seed = random.Any()});
  }
  Bytes("after fresh allocations: ");
  // Half of them by another thread.
  const size_t half = fresh.size() / 2;
  std::thread([&] {
    for (size_t i = 0; i < half; ++i) heap.Free(PointerTo(fresh[i]));
  }).join();
  for (size_t i = half; i < fresh.size(); ++i) heap.Free(PointerTo(fresh[i]));
  if (file_.Allocated() != allocated_) Report("fresh blocks did not come and go alone");
}

void Check::Reopened() {
  std::string why = file_.Close();
  if (why.empty()) why = file_.Open();
  if (!why.empty()) return Report(why);
  if (file_.Allocated() != allocated_)
    Report("a clean close and an open changed what is allocated");
  Bytes("after a clean close and an open: ");
}

}  // namespace

Findings CheckHeap(const std::string& path, const HeapCheckOptions& options, HeapLog& log,
                   HeapLeak* leak) {
  if (log.failure.text[0] != '\0') {
    return {std::string("the writer failed: ") + log.failure.text};
  }
  HeapFile file(path, log);
  if (std::string why = file.Open(); !why.empty()) return {why};
  if (std::string findings = alloc::Findings(file.heap()); !findings.empty()) return {findings};
  Check check(file, log);
  check.Slots();
  if (check.good()) check.Unreached(leak);
  Random random(options.seed);
  if (check.good()) check.Fresh(options.fresh_blocks, random);
  if (check.good()) check.Reopened();
  Findings findings = check.findings();
  if (!findings.empty()) return findings;
  if (std::string why = file.Close(); !why.empty()) findings.push_back(why);
  return findings;
}

}  // namespace morsel::crash
