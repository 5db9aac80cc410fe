// The pool that writer and checker of the fine contract share, and how to find a partition's slots
// in it.
#pragma once

#include <cstdint>
#include <string>

#include "morsel/morsel.h"
#include "tests/crash/fine/fine_log.h"

namespace morsel::crash {

inline constexpr char kMainName[] = "main";
inline constexpr char kSideName[] = "side";
inline constexpr char kSideRoot[] = "only";
inline constexpr uint64_t kPoolBytes = uint64_t{96} << 20;

/// The one object that a side morsel has once it is filled.
inline constexpr Object kSideObject = {
    .serial = 1, .owner = kPartitions, .size_bytes = 100'000, .seed = 42};

/// Lets any file stand in for persistent memory. Call it before the first use of the library.
void ForceGranularity();

enum class PoolKind { kCarved, kDirectory };

/// Makes the pool and an empty morsel.
/// Returns  empty, or what failed.
std::string MakeFinePool(const std::string& path, PoolKind kind = PoolKind::kCarved);

/// CloseFinePool() closes it.
struct OpenedFinePool {
  morsel_pool_t* pool = nullptr;
  morsel_t* morsel = nullptr;
};
/// Returns  empty, or what failed.
std::string OpenFinePool(const std::string& path, OpenedFinePool* opened);
std::string CloseFinePool(OpenedFinePool* opened);

/// The roots of partition 2 are "partition 2" for its array, and "partition 2 root 0" and so on.
std::string ArrayName(uint64_t partition);
std::string RootName(uint64_t partition, uint64_t slot);

/// The place of a slot in the array; nullptr while the partition has no array.
uint64_t* ArraySlot(morsel_t* morsel, uint64_t partition, uint64_t slot);
/// What a slot of either kind points to.
void* Pointee(morsel_t* morsel, uint64_t partition, uint64_t slot);

}  // namespace morsel::crash
