// A fine morsel in a pool, through the C API: writers work on it, and checkers compare it with
// their log. Beside it is a second morsel that is made, filled and removed.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "morsel/morsel.h"
#include "tests/crash/crash_heap.h"
#include "tests/crash/work_checker.h"
#include "tests/crash/worker.h"

namespace morsel::crash {

inline constexpr uint64_t kFineCapacityBytes = uint64_t{256} << 20;
inline constexpr char kSideName[] = "side";

/// The state of something that is made and removed as a whole.
enum class Presence : uint64_t { kAbsent, kComing, kPresent, kGoing };

struct FineLog {
  WorkLog work;
  std::atomic<Presence> side = Presence::kAbsent;  ///< the second morsel
  BlockMarks<kFineCapacityBytes> marks;
};

/// Lets any file stand in for persistent memory. Call it before the first use of the library.
void ForceGranularity();

enum class PoolKind { kCarved, kDirectory };

/// Makes the pool, and a morsel whose slots are empty.
/// Returns  empty, or what failed.
std::string MakeFinePool(const std::string& path, PoolKind kind = PoolKind::kCarved);

/// Its slots are pointers in an array in the morsel, and then named roots.
class FineMorsel : public CrashHeap {
 public:
  FineMorsel(const std::string& pool_path, FineLog& log);

  std::string Open() override;
  std::string Close() override;
  void BeginSession(Random& random) override;
  void* base() const override { return morsel_base(morsel_); }
  void* Allocate(uint64_t size_bytes, Random& random) override;
  void* Reallocate(void* block, uint64_t size_bytes) override;
  void Free(void* block) override { morsel_free(morsel_, block); }
  uint64_t UsableBytes(const void* block) override { return morsel_usable_size(morsel_, block); }
  void Flush(const void* address, uint64_t size_bytes) override;
  void Fence() override { MustDo("morsel_fence", morsel_fence(morsel_)); }
  void Settle() override { MustDo("morsel_checkpoint", morsel_checkpoint(morsel_)); }
  void Resize(Random& random) override;
  void* Pointee(uint64_t slot) override;
  void Point(uint64_t slot, void* object) override;
  std::string WhyInvalid() override;
  std::vector<Block> Allocated() override { return AllocatedBlocks(morsel_); }
  std::vector<Owned> BlocksOfSlots() override;

  /// Compares the second morsel with the log, and removes one that came without its object.
  void CheckSide(Findings* findings);

 private:
  void MustDo(const char* call, morsel_code code) { Must(log().failure, call, code); }
  void MakeOrRemoveSide();
  /// nullptr where there was no space.
  void* BlockOrNoSpace(void* block);

  std::string path_;
  std::atomic<Presence>& side_;
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
  uint64_t* array_ = nullptr;
};

/// Works on the morsel; see RunWriter().
int RunFineWriter(const std::string& pool_path, uint64_t seed, uint64_t sessions, Lie lie,
                  FineLog& log);

/// What CheckWork() finds, and whether `morselctl check` would find the pool invalid or the second
/// morsel is not what it should be.
Findings CheckFine(const std::string& pool_path, const CheckOptions& options, FineLog& log);

}  // namespace morsel::crash
