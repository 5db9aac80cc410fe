#include "image/format/slot_doubt.h"

#include <algorithm>
#include <cinttypes>
#include <cstddef>
#include <optional>

#include "base/bits.h"
#include "base/error.h"
#include "image/format/space.h"

namespace morsel::image {
namespace {

/// What a disk writes as a whole.
constexpr uint64_t kSectorBytes = 512;
/// What a superblock has behind its fields is zero, whatever it says.
constexpr uint64_t kFieldsEnd = offsetof(ImageSuperblock, reserved);

bool AreZeros(const ImageSuperblock& superblock, uint64_t begin, uint64_t end) {
  const char* const bytes = reinterpret_cast<const char*>(&superblock);
  return std::all_of(bytes + begin, bytes + end, [](char byte) { return byte == 0; });
}

Status ValidateLog(const os::File& file, const ImageSuperblock& superblock) {
  const uint64_t begin = superblock.log_position;
  bool sane = begin < kLogPositionsEnd;
  if (const std::optional<FileExtent> log = LogExtentOf(superblock)) {
    sane = sane && IsAligned(log->offset, kBlockBytes) && log->offset >= kExtentsStart &&
           log->size_bytes != 0 && IsAligned(log->size_bytes, kBlockBytes) &&
           log->size_bytes <= kLogBytesMax && Within(log->offset, log->size_bytes, kAddressEnd) &&
           superblock.log_whole <= begin + log->size_bytes / kBlockBytes;
  }
  if (sane) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s': the superblock at offset %" PRIu64 " has an impossible log of %" PRIu64
              " bytes at offset %" PRIu64 ", position %" PRIu64 "; restore it from a copy",
              file.path().c_str(), SlotOffset(superblock.sequence), superblock.log_bytes,
              superblock.log_offset, superblock.log_position);
}

}  // namespace

Status ValidateSuperblock(const os::File& file, const ImageSuperblock& superblock) {
  const char* const path = file.path().c_str();
  const bool is_known = superblock.version == kVersion || IsOfVersion4(superblock);
  if (!is_known || (superblock.read_features & ~kReadFeatures) != 0 || superblock.contract > 1 ||
      !IsKnown(superblock.codec)) {
    return Fail(Code::kVersion,
                "image '%s' is of version %" PRIu32 " with features 0x%" PRIx64
                "; this library knows version %" PRIu32
                ", and reads version 4: open it with another one, newer where its version is "
                "higher",
                path, superblock.version, superblock.read_features, kVersion);
  }
  const bool sane =
      superblock.base != 0 && IsAligned(superblock.base, kSubtreeBytes) &&
      superblock.capacity_bytes != 0 && IsAligned(superblock.capacity_bytes, kSubtreeBytes) &&
      Within(superblock.base, superblock.capacity_bytes, kAddressEnd) &&
      IsAligned(superblock.size_bytes, kSubtreeBytes) &&
      superblock.size_bytes <= superblock.capacity_bytes &&
      superblock.live_bytes <= superblock.size_bytes && superblock.generation != 0 &&
      superblock.generation < kGenerationsEnd && superblock.sequence < kGenerationsEnd;
  if (sane) return ValidateLog(file, superblock);
  return Fail(Code::kCorrupt,
              "image '%s': the superblock at offset %" PRIu64 " has an impossible base 0x%" PRIx64
              ", capacity %" PRIu64 ", size %" PRIu64 ", live bytes %" PRIu64
              " or generation %" PRIu64 "; restore it from a copy",
              path, SlotOffset(superblock.sequence), superblock.base, superblock.capacity_bytes,
              superblock.size_bytes, superblock.live_bytes, superblock.generation);
}

// A superblock is written by one write, over the one that was in its slot before, or over zeros,
// and nothing that was promised is lost with it until it has been synced. Power that is lost
// meanwhile leaves each of its sectors as it was or as it was to be. So the first sector is that of
// a superblock of this image, or zeros, and what no superblock uses is zero.
//
//   what no superblock uses    first sector               those behind it       doubt
//   not zero                                                                    kDamaged
//   zero                       zeros                      not zeros             kUnfinished
//   zero                       no superblock's            -                     kDamaged
//   zero                       newer, says that those     are zeros             kDamaged: the
//                              behind it are zeros                              write was whole
//   zero                       any other of the image's   -                     kUnfinished
//
// All zeros were never written, and are no doubt. An older one, and the second one of a state that
// has a name, may have that behind the first sector, so that nothing is known of what it says of
// those.
Doubt DoubtOf(const os::File& file, const ImageSuperblock& other, uint64_t offset,
              const ImageSuperblock& current) {
  if (!AreZeros(other, kFieldsEnd, sizeof other)) return Doubt::kDamaged;
  if (AreZeros(other, 0, kSectorBytes)) return Doubt::kUnfinished;
  const KeepLastError keep;
  const bool is_of_this =
      other.magic == kMagic && other.id == current.id && other.base == current.base &&
      other.capacity_bytes == current.capacity_bytes && other.flags == current.flags &&
      other.contract == current.contract && other.codec == current.codec && other.reserved_0 == 0 &&
      other.generation != 0 && other.sequence != 0 && SlotOffset(other.sequence) == offset;
  if (!is_of_this || !ValidateSuperblock(file, other).ok()) return Doubt::kDamaged;
  constexpr ptrdiff_t kListsInFirst =
      (kSectorBytes - offsetof(ImageSuperblock, lists)) / sizeof(PatchList);
  const PatchList* const lists_end = other.lists + kListsInFirst;
  const PatchList* const unused = std::find(other.lists, lists_end, PatchList{});
  if (std::any_of(unused, lists_end, [](const PatchList& list) { return list != PatchList{}; })) {
    return Doubt::kDamaged;
  }
  const bool has_name = !CarriedName(current).empty();
  const bool ends_in_first = unused != lists_end && !HasLog(other) && !has_name;
  const bool is_whole = other.sequence > current.sequence && ends_in_first &&
                        AreZeros(other, kSectorBytes, kFieldsEnd);
  return is_whole ? Doubt::kDamaged : Doubt::kUnfinished;
}

}  // namespace morsel::image
