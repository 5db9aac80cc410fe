#include "tests/crash/fine/fine_morsel.h"

#include <cerrno>
#include <cstdlib>

#include "base/units.h"
#include "tests/crash/validate.h"
#include "tests/crash/writer.h"

namespace morsel::crash {
namespace {

constexpr char kMainName[] = "main";
constexpr char kArrayName[] = "array";
constexpr uint64_t kArraySlots = 960;
constexpr uint64_t kRootSlots = 32;
constexpr uint64_t kPoolBytes = 96 * kMiB;

constexpr Workload kWorkload = {
    .slots = kArraySlots + kRootSlots,
    .whole_bytes_max = ~uint64_t{0},
    .live_bytes_max = 36 * kMiB,  // so that there is always room for a checker's
    .operations_max = 120,
    .takers_max = kThreadsMax + 1,  // one opens the morsel and makes what all have in common
    .giants = 0,
    .extents = 80,
    .middles = 150,
    // put, batch, drop, replace, reallocate, pass on, scratch, sweep, lose, settle, resize
    .weights = {270, 100, 260, 140, 30, 40, 90, 20, 5, 10, 35},
};

std::string RootName(uint64_t slot) { return "root " + std::to_string(slot - kArraySlots); }

}  // namespace

void ForceGranularity() { setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1); }

std::string MakeFinePool(const std::string& path, PoolKind kind) {
  morsel_pool_options options = {sizeof options, MORSEL_CREATE, 0, 0, 0};
  if (kind == PoolKind::kCarved) {
    options.flags |= MORSEL_CARVED;
    options.size_bytes = kPoolBytes;
  }
  morsel_pool_t* pool = nullptr;
  morsel_t* morsel = nullptr;
  morsel_code code = morsel_pool_open(path.c_str(), &options, &pool);
  if (code != MORSEL_OK) return Message("morsel_pool_open of a new pool", code);
  morsel_options fine = {};
  fine.struct_size = sizeof fine;
  fine.flags = MORSEL_CREATE | MORSEL_FINE;
  fine.capacity_bytes = kFineCapacityBytes;
  code = morsel_open(pool, kMainName, &fine, &morsel);
  if (code != MORSEL_OK) return Message("morsel_open of a new morsel", code);
  constexpr uint64_t kArrayBytes = kArraySlots * sizeof(uint64_t);
  void* const array = morsel_calloc(morsel, kArraySlots, sizeof(uint64_t));
  if (array == nullptr) return std::string("no room for the slots: ") + morsel_last_error();
  code = morsel_persist(morsel, array, kArrayBytes);
  if (code == MORSEL_OK) code = morsel_set_root(morsel, kArrayName, array);
  if (code == MORSEL_OK) code = morsel_close(morsel);
  if (code == MORSEL_OK) code = morsel_pool_close(pool);
  return code == MORSEL_OK ? std::string() : Message("making the slots", code);
}

FineMorsel::FineMorsel(const std::string& pool_path, FineLog& log)
    : CrashHeap(kWorkload, log.work, log.marks.bytes), path_(pool_path), side_(log.side) {}

std::string FineMorsel::Open() {
  morsel_code code = morsel_pool_open(path_.c_str(), nullptr, &pool_);
  if (code != MORSEL_OK) return Message("morsel_pool_open", code);
  code = morsel_open(pool_, kMainName, nullptr, &morsel_);
  if (code != MORSEL_OK) return Message("morsel_open", code);
  array_ = static_cast<uint64_t*>(morsel_root(morsel_, kArrayName));
  return array_ != nullptr ? std::string() : "the slots are lost";
}

std::string FineMorsel::Close() {
  morsel_code code = morsel_close(morsel_);
  if (code != MORSEL_OK) return Message("morsel_close", code);
  code = morsel_pool_close(pool_);
  return code == MORSEL_OK ? std::string() : Message("morsel_pool_close", code);
}

void FineMorsel::BeginSession(Random& random) {
  if (random.OneIn(3)) MakeOrRemoveSide();
}

void* FineMorsel::BlockOrNoSpace(void* block) {
  if (block == nullptr && errno != ENOMEM) {
    Fail(log().failure, std::string("no block: ") + morsel_last_error());
  }
  return block;
}

void* FineMorsel::Allocate(uint64_t size_bytes, Random& random) {
  switch (random.Below(4)) {
    case 0:
      return BlockOrNoSpace(morsel_calloc(morsel_, 1, size_bytes));
    case 1:
      return BlockOrNoSpace(
          morsel_aligned_alloc(morsel_, uint64_t{1} << random.Below(13), size_bytes));
    default:
      return BlockOrNoSpace(morsel_malloc(morsel_, size_bytes));
  }
}

void* FineMorsel::Reallocate(void* block, uint64_t size_bytes) {
  return BlockOrNoSpace(morsel_realloc(morsel_, block, size_bytes));
}

void FineMorsel::Flush(const void* address, uint64_t size_bytes) {
  MustDo("morsel_flush", morsel_flush(morsel_, address, size_bytes));
}

void FineMorsel::Resize(Random& random) {
  const morsel_code code =
      morsel_resize(morsel_, random.Between(1, kPoolBytes / kSubtreeBytes) * kSubtreeBytes);
  if (code != MORSEL_BUSY && code != MORSEL_NO_SPACE) MustDo("morsel_resize", code);
}

void* FineMorsel::Pointee(uint64_t slot) {
  if (slot >= kArraySlots) return morsel_root(morsel_, RootName(slot).c_str());
  return reinterpret_cast<void*>(std::atomic_ref(array_[slot]).load());
}

void FineMorsel::Point(uint64_t slot, void* object) {
  if (slot >= kArraySlots) {
    return MustDo("morsel_set_root", morsel_set_root(morsel_, RootName(slot).c_str(), object));
  }
  std::atomic_ref(array_[slot]).store(reinterpret_cast<uint64_t>(object));
  Flush(&array_[slot], sizeof array_[slot]);
}

std::string FineMorsel::WhyInvalid() {
  morsel_info info{};
  const morsel_code code = morsel_stat(morsel_, &info);
  if (code != MORSEL_OK) return Message("morsel_stat", code);
  uint64_t live_bytes = 0;
  for (const Block& block : AllocatedBlocks(base(), morsel_size(morsel_))) {
    live_bytes += block.size_bytes;
  }
  return live_bytes == info.live_bytes ? "" : "morsel_stat counts other bytes than are allocated";
}

std::vector<Owned> FineMorsel::BlocksOfSlots() {
  return {{{reinterpret_cast<uint64_t>(array_), morsel_usable_size(morsel_, array_)}, "the array"}};
}

int RunFineWriter(const std::string& pool_path, uint64_t seed, uint64_t sessions, Lie lie,
                  FineLog& log) {
  FineMorsel morsel(pool_path, log);
  return RunWriter(morsel, seed, sessions, lie);
}

Findings CheckFine(const std::string& pool_path, const CheckOptions& options, FineLog& log) {
  if (Findings failed = WriterFailed(log.work.failure); !failed.empty()) return failed;
  if (Findings findings = Validate(pool_path); !findings.empty()) return findings;
  FineMorsel morsel(pool_path, log);
  Leak leak;
  Findings findings = CheckWork(morsel, options, &leak);
  if (!findings.empty()) return findings;
  morsel.CheckSide(&findings);
  if (const std::string why = morsel.Close(); !why.empty()) findings.push_back(why);
  return findings;
}

}  // namespace morsel::crash
