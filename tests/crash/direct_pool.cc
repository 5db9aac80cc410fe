#include "tests/crash/direct_pool.h"

#include <cstdlib>

namespace morsel::crash {

void ForceGranularity() { setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1); }

std::string MakeDirect(const std::string& path, PoolKind kind) {
  morsel_pool_options options = {sizeof options, MORSEL_CREATE, 0, 0, 0};
  if (kind == PoolKind::kCarved) {
    options.flags |= MORSEL_CARVED;
    options.size_bytes = kPoolBytes;
  }
  OpenedDirect opened;
  morsel_code code = morsel_pool_open(path.c_str(), &options, &opened.pool);
  if (code != MORSEL_OK) return Sentence("morsel_pool_open of a new pool", code);
  morsel_options fine = {};
  fine.struct_size = sizeof fine;
  fine.flags = MORSEL_CREATE | MORSEL_FINE;
  fine.capacity_bytes = kCapacityBytes;
  code = morsel_open(opened.pool, kMainName, &fine, &opened.morsel);
  if (code != MORSEL_OK) return Sentence("morsel_open of a new morsel", code);
  return CloseDirect(&opened);
}

std::string OpenDirect(const std::string& path, OpenedDirect* opened) {
  morsel_code code = morsel_pool_open(path.c_str(), nullptr, &opened->pool);
  if (code != MORSEL_OK) return Sentence("morsel_pool_open", code);
  code = morsel_open(opened->pool, kMainName, nullptr, &opened->morsel);
  return code == MORSEL_OK ? std::string() : Sentence("morsel_open", code);
}

std::string CloseDirect(OpenedDirect* opened) {
  morsel_code code = morsel_close(opened->morsel);
  if (code != MORSEL_OK) return Sentence("morsel_close", code);
  code = morsel_pool_close(opened->pool);
  if (code != MORSEL_OK) return Sentence("morsel_pool_close", code);
  *opened = {};
  return {};
}

std::string ArrayName(uint64_t shelf) { return "shelf " + std::to_string(shelf); }

std::string RootName(uint64_t shelf, uint64_t slot) {
  return ArrayName(shelf) + " root " + std::to_string(slot - kArraySlots);
}

uint64_t* ArraySlot(morsel_t* morsel, uint64_t shelf, uint64_t slot) {
  void* const array = morsel_root(morsel, ArrayName(shelf).c_str());
  return array == nullptr ? nullptr : static_cast<uint64_t*>(array) + slot;
}

void* Pointee(morsel_t* morsel, uint64_t shelf, uint64_t slot) {
  if (slot >= kArraySlots) return morsel_root(morsel, RootName(shelf, slot).c_str());
  const uint64_t* const place = ArraySlot(morsel, shelf, slot);
  return place == nullptr ? nullptr : reinterpret_cast<void*>(*place);
}

}  // namespace morsel::crash
