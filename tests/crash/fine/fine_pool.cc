#include "tests/crash/fine/fine_pool.h"

#include <cstdlib>

namespace morsel::crash {

void ForceGranularity() { setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1); }

std::string MakeFinePool(const std::string& path, PoolKind kind) {
  morsel_pool_options options = {sizeof options, MORSEL_CREATE, 0, 0, 0};
  if (kind == PoolKind::kCarved) {
    options.flags |= MORSEL_CARVED;
    options.size_bytes = kPoolBytes;
  }
  OpenedFinePool opened;
  morsel_code code = morsel_pool_open(path.c_str(), &options, &opened.pool);
  if (code != MORSEL_OK) return Message("morsel_pool_open of a new pool", code);
  morsel_options fine = {};
  fine.struct_size = sizeof fine;
  fine.flags = MORSEL_CREATE | MORSEL_FINE;
  fine.capacity_bytes = kCapacityBytes;
  code = morsel_open(opened.pool, kMainName, &fine, &opened.morsel);
  if (code != MORSEL_OK) return Message("morsel_open of a new morsel", code);
  return CloseFinePool(&opened);
}

std::string OpenFinePool(const std::string& path, OpenedFinePool* opened) {
  morsel_code code = morsel_pool_open(path.c_str(), nullptr, &opened->pool);
  if (code != MORSEL_OK) return Message("morsel_pool_open", code);
  code = morsel_open(opened->pool, kMainName, nullptr, &opened->morsel);
  return code == MORSEL_OK ? std::string() : Message("morsel_open", code);
}

std::string CloseFinePool(OpenedFinePool* opened) {
  morsel_code code = morsel_close(opened->morsel);
  if (code != MORSEL_OK) return Message("morsel_close", code);
  code = morsel_pool_close(opened->pool);
  if (code != MORSEL_OK) return Message("morsel_pool_close", code);
  *opened = {};
  return {};
}

std::string ArrayName(uint64_t partition) { return "partition " + std::to_string(partition); }

std::string RootName(uint64_t partition, uint64_t slot) {
  return ArrayName(partition) + " root " + std::to_string(slot - kArraySlots);
}

uint64_t* ArraySlot(morsel_t* morsel, uint64_t partition, uint64_t slot) {
  void* const array = morsel_root(morsel, ArrayName(partition).c_str());
  return array == nullptr ? nullptr : static_cast<uint64_t*>(array) + slot;
}

void* Pointee(morsel_t* morsel, uint64_t partition, uint64_t slot) {
  if (slot >= kArraySlots) return morsel_root(morsel, RootName(partition, slot).c_str());
  const uint64_t* const place = ArraySlot(morsel, partition, slot);
  return place == nullptr ? nullptr : reinterpret_cast<void*>(*place);
}

}  // namespace morsel::crash
