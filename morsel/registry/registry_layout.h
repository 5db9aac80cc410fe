// The bytes of the registry of addresses, little-endian:
//
//   AddressesHeader | RegisteredPoolSlot 1 ... kPoolsMax | (hole) | word of granule 0, 1, ...
//
// [REG-1] The word of a granule is 0, or the number of the slot of the pool that has it.
// [REG-2] The words of a new morsel's addresses are durable before the morsel has its name.
// [REG-3] What the file says is a guess about pools. No morsel is found, opened or believed by it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/random.h"
#include "base/units.h"
#include "morsel/pool/address_window.h"

namespace morsel {

inline constexpr uint64_t kAddressesMagic = 0x52444441'4c53524d;  // "MRSLADDR"
inline constexpr uint32_t kAddressesVersion = 1;

/// The unit in which addresses are granted.
inline constexpr uint64_t kGranuleBytes = 16 * kMiB;
inline constexpr uint64_t kGranuleCount = kAddressEnd / kGranuleBytes;
using GranuleWord = uint16_t;
/// In the word of a granule in which several morsels of the pool lie: no single one's end frees it.
inline constexpr GranuleWord kSharedGranule = 0x8000;
constexpr GranuleWord OwnerOf(GranuleWord word) {
  return static_cast<GranuleWord>(word & ~kSharedGranule);
}

/// It never changes once it is there. Magic, checksum and version keep their places.
struct AddressesHeader {
  uint64_t magic;
  uint64_t checksum;  ///< XXH3-64 of the structure with this field zero
  uint32_t version;
  uint32_t granule_mib;
  uint64_t reserved[13];
};
static_assert(sizeof(AddressesHeader) == 128);
static_assert(std::has_unique_object_representations_v<AddressesHeader>);

/// A pool. It is one sector, so that a crash leaves the old one or the new one.
struct RegisteredPoolSlot {
  uint64_t checksum;  ///< XXH3-64 of the structure with this field zero; 0: the slot is free
  Id id;
  uint64_t file_system_id;    ///< of statfs(2)
  uint64_t file_system_type;  ///< likewise
  uint64_t changed_ns;        ///< the directory's last change that the words know of
  uint64_t names_given;       ///< how many names had been given in it then
  uint64_t next_granule;      ///< where the next search begins
  uint32_t is_device;
  uint32_t path_bytes;  ///< 0: the path is too long to be kept
  char path[440];
};
static_assert(sizeof(RegisteredPoolSlot) == 512);
static_assert(offsetof(RegisteredPoolSlot, path) == 72);
static_assert(std::has_unique_object_representations_v<RegisteredPoolSlot>);
static_assert(std::is_trivially_copyable_v<RegisteredPoolSlot>);

inline constexpr uint64_t kSlotsOffset = 4096;
inline constexpr uint64_t kPoolsMax = 4095;
inline constexpr uint64_t kWordsOffset = 4 * kMiB;
static_assert(kSlotsOffset + kPoolsMax * sizeof(RegisteredPoolSlot) <= kWordsOffset);
static_assert(kPoolsMax < kSharedGranule);

constexpr uint64_t SlotOffset(GranuleWord number) {
  return kSlotsOffset + (number - uint64_t{1}) * sizeof(RegisteredPoolSlot);
}
constexpr uint64_t WordOffset(uint64_t granule) {
  return kWordsOffset + granule * sizeof(GranuleWord);
}

}  // namespace morsel
