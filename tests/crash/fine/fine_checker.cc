#include "tests/crash/fine/fine_checker.h"

#include <algorithm>
#include <cstdio>

#include "alloc/heap/threads/thread_heap.h"
#include "tests/crash/blocks.h"
#include "tests/crash/fine/fine_pool.h"
#include "tests/crash/validate.h"

namespace morsel::crash {
namespace {

std::string Hexadecimal(const void* address) {
  char text[24];
  std::snprintf(text, sizeof text, "%p", address);
  return text;
}

class Check {
 public:
  Check(morsel_t* morsel, FineLog& log) : morsel_(morsel), log_(log) {
    allocated_ = AllocatedBlocks(morsel);
  }

  void Partition(uint64_t number);
  /// What is allocated and reached from nowhere; freed if all else is well.
  void Forgotten();
  void Fresh(uint64_t count, Random& random);
  Findings findings() { return std::move(findings_); }
  bool good() const { return findings_.empty(); }

 private:
  struct Linked {
    const void* address;
    Object object;
  };

  void Slot(uint64_t partition, uint64_t slot);
  bool Array(uint64_t partition);
  std::string WhyNot(const void* found, const Object& due) const;
  void Own(const void* address, const std::string& owner);
  void Report(const std::string& message) { findings_.push_back(message); }
  uint64_t LiveBytes();
  void Bytes(const char* when);

  morsel_t* morsel_;
  FineLog& log_;
  std::vector<Block> allocated_;
  std::vector<Owned> reachable_;
  std::vector<Linked> linked_;
  Findings findings_;
};

void Check::Own(const void* address, const std::string& owner) {
  reachable_.push_back({*BlockAt(allocated_, address), owner});
}

// Empty if `found` is the object that is due, in a block of its own.
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
  return Difference(found, due);
}

// Whether the partition has slots in the array.
bool Check::Array(uint64_t partition) {
  PartitionLog& logged = log_.partitions[partition];
  const void* const array = morsel_root(morsel_, ArrayName(partition).c_str());
  if (array == nullptr) {
    if (logged.array.load() == Presence::kPresent)
      Report(ArrayName(partition) + " has lost its array");
    logged.array.store(Presence::kAbsent);
    return false;
  }
  const Block* const block = BlockAt(allocated_, array);
  if (block == nullptr || block->size_bytes < kArraySlots * sizeof(uint64_t)) {
    Report(ArrayName(partition) + " has an array that is not allocated");
    return false;
  }
  if (logged.array.load() == Presence::kAbsent)
    Report(ArrayName(partition) + " has an array too soon");
  logged.array.store(Presence::kPresent);
  Own(array, ArrayName(partition) + "'s array");
  return true;
}

void Check::Slot(uint64_t partition, uint64_t slot) {
  PartitionLog& logged = log_.partitions[partition];
  const void* const found = Pointee(morsel_, partition, slot);
  const std::string name = ArrayName(partition) + " slot " + std::to_string(slot);
  const Change* in_flight = nullptr;
  for (uint64_t i = 0; i < logged.changes_in_flight.load(); ++i) {
    if (logged.changes[i].slot == slot) in_flight = &logged.changes[i];
  }
  if (in_flight == nullptr) {
    const std::string why = WhyNot(found, logged.slots[slot]);
    if (!why.empty()) return Report(name + ": " + why);
  } else {
    const std::string why_not_after = WhyNot(found, in_flight->after);
    const std::string why_not_before = WhyNot(found, in_flight->before);
    if (!why_not_after.empty() && !why_not_before.empty()) {
      return Report(name + ", changed when the writer was killed: neither after (" + why_not_after +
                    ") nor before (" + why_not_before + ")");
    }
    logged.slots[slot] = why_not_after.empty() ? in_flight->after : in_flight->before;
  }
  if (found == nullptr) return;
  Own(found, name);
  linked_.push_back({found, logged.slots[slot]});
}

void Check::Partition(uint64_t number) {
  Array(number);
  for (uint64_t slot = 0; slot < kSlots; ++slot) Slot(number, slot);
}

uint64_t Check::LiveBytes() {
  morsel_info info{};
  const morsel_code code = morsel_stat(morsel_, &info);
  if (code != MORSEL_OK) Report(Message("morsel_stat", code));
  return info.live_bytes;
}

void Check::Forgotten() {
  uint64_t in_flight = 0;
  for (PartitionLog& partition : log_.partitions) {
    in_flight += partition.blocks_in_flight_max.load();
    if (good()) partition.Cancel();
  }
  std::string overlap = FirstOverlap(reachable_);
  if (!overlap.empty()) return Report(overlap);
  const std::vector<Block> reachable = BlocksOf(reachable_);
  const std::vector<Block> forgotten = Without(allocated_, reachable);
  std::vector<Block> lost;
  std::vector<Block> never_given;
  uint64_t freed = 0;
  for (const Block& block : forgotten) {
    const uint8_t mark = log_.marks.Get(morsel_base(morsel_), PointerTo(block));
    if (mark == kGivenBack) {
      ++freed;
    } else {
      (mark == kGiven ? lost : never_given).push_back(block);
    }
  }
  if (lost.size() > in_flight) {
    Report(std::to_string(lost.size()) +
           " blocks are allocated that nobody reaches, the "
           "first at " +
           Hexadecimal(PointerTo(lost.front())) + " of " + std::to_string(lost.front().size_bytes) +
           " bytes; in flight were at most " + std::to_string(in_flight));
  }
  // One thread more opens the morsel and makes what all have in common.
  const uint64_t more = MoreThanTakenAhead(never_given, kWriterThreadsMax + 1);
  if (more > in_flight) {
    Report(std::to_string(never_given.size()) + " blocks are allocated that nobody was given, " +
           std::to_string(more) + " more than threads may take ahead; in flight were at most " +
           std::to_string(in_flight));
  }
  if (freed > kWriterThreadsMax * alloc::kFreesUnflushedMax) {
    Report(std::to_string(freed) + " blocks are allocated that were freed");
  }
  uint64_t live_bytes = 0;
  const std::vector<Block> with_roots = AllocatedBlocks(morsel_base(morsel_), morsel_size(morsel_));
  for (const Block& block : with_roots) live_bytes += block.size_bytes;
  if (live_bytes != LiveBytes()) Report("morsel_stat counts other bytes than are allocated");
  if (!good()) return;
  for (const Block& block : forgotten) morsel_free(morsel_, PointerTo(block));
  log_.marks.Clear();
  allocated_ = AllocatedBlocks(morsel_);
  if (allocated_ != reachable) Report("freeing what was forgotten did not leave what is reachable");
}

void Check::Bytes(const char* when) {
  for (const Linked& linked : linked_) {
    const std::string difference = Difference(linked.address, linked.object);
    if (!difference.empty()) Report(when + difference);
  }
}

void Check::Fresh(uint64_t count, Random& random) {
  const std::vector<Block> fresh = AllocateFresh(morsel_, count, random);
  if (fresh.size() < count) {
    Report("only " + std::to_string(fresh.size()) + " fresh blocks: " + morsel_last_error());
  }
  std::vector<Owned> owned = reachable_;
  for (size_t i = 0; i < fresh.size(); ++i) {
    owned.push_back({fresh[i], "fresh block " + std::to_string(i)});
  }
  const std::string overlap = FirstOverlap(std::move(owned));
  if (!overlap.empty()) return Report(overlap);
  for (const Block& block : fresh) {
    WriteObject(PointerTo(block), {.serial = 1,
                                   .owner = kPartitions + 1,
                                   .size_bytes = block.size_bytes,
                                   .seed = random.Any()});
  }
  Bytes("after fresh allocations: ");
  for (const Block& block : fresh) morsel_free(morsel_, PointerTo(block));
  if (AllocatedBlocks(morsel_) != allocated_) Report("fresh blocks did not come and go alone");
}

void CheckSide(morsel_pool_t* pool, FineLog& log, Findings* findings) {
  const Presence logged = log.side.load();
  morsel_t* side = nullptr;
  const morsel_code code = morsel_open(pool, kSideName, nullptr, &side);
  if (code == MORSEL_NOT_FOUND) {
    if (logged == Presence::kPresent) findings->push_back("the side morsel is lost");
    log.side.store(Presence::kAbsent);
    return;
  }
  if (code != MORSEL_OK)
    return findings->push_back(Message("morsel_open of the side morsel", code));
  if (logged == Presence::kAbsent)
    findings->push_back("the side morsel is there, and should not be");
  const void* const object = morsel_root(side, kSideRoot);
  std::string difference;
  if (object != nullptr) difference = Difference(object, kSideObject);
  if (object == nullptr && logged != Presence::kComing) difference = "it has lost its root";
  if (!difference.empty()) findings->push_back("the side morsel: " + difference);
  const morsel_code closed = morsel_close(side);
  if (closed != MORSEL_OK) findings->push_back(Message("morsel_close of the side morsel", closed));
  log.side.store(Presence::kPresent);
  if (object != nullptr || closed != MORSEL_OK) return;
  // It came without its object. A later check could not tell that from a root that was lost.
  log.side.store(Presence::kGoing);
  const morsel_code removed = morsel_remove(pool, kSideName);
  if (removed != MORSEL_OK) {
    return findings->push_back(Message("morsel_remove of the side morsel", removed));
  }
  log.side.store(Presence::kAbsent);
}

}  // namespace

Findings CheckFine(const std::string& pool_path, const FineCheckOptions& options, FineLog& log) {
  if (log.failure.text[0] != '\0') {
    return {std::string("the writer failed: ") + log.failure.text};
  }
  if (Findings findings = Validate(pool_path); !findings.empty()) return findings;
  OpenedFinePool opened;
  if (const std::string why = OpenFinePool(pool_path, &opened); !why.empty()) return {why};
  Check check(opened.morsel, log);
  for (uint64_t number = 0; number < kPartitions; ++number) check.Partition(number);
  if (check.good()) check.Forgotten();
  Random random(options.seed);
  if (check.good()) check.Fresh(options.fresh_blocks, random);
  Findings findings = check.findings();
  CheckSide(opened.pool, log, &findings);
  if (const std::string why = CloseFinePool(&opened); !why.empty()) findings.push_back(why);
  return findings;
}

}  // namespace morsel::crash
