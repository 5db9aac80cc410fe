#include "image/format/superblock.h"

#include <cinttypes>
#include <cstring>

#include "base/bits.h"
#include "base/error.h"
#include "image/format/space.h"

namespace morsel::image {
namespace {

struct Slots {
  ImageSuperblock slots[2];
};
constexpr int kReadingsMax = 100;

enum class Slot { kForeign, kDamaged, kMisplaced, kValid };

uint64_t ChecksumOf(const ImageSuperblock& superblock) {
  OnHeap<ImageSuperblock> summed = superblock;
  summed->checksum = 0;
  return Checksum64(&*summed, sizeof *summed);
}

Slot StateOf(const ImageSuperblock& superblock, uint64_t offset) {
  if (superblock.magic != kMagic) return Slot::kForeign;
  if (superblock.checksum != ChecksumOf(superblock)) return Slot::kDamaged;
  if (superblock.generation == 0 || SlotOffset(superblock.generation) != offset) {
    return Slot::kMisplaced;
  }
  return Slot::kValid;
}

const char* Words(Slot state) {
  switch (state) {
    case Slot::kForeign:
      return "has no magic";
    case Slot::kDamaged:
      return "fails its checksum";
    case Slot::kMisplaced:
      return "is of a generation that does not belong there";
    case Slot::kValid:
      break;
  }
  return "is valid";
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
              file.path().c_str(), SlotOffset(superblock.generation), superblock.log_bytes,
              superblock.log_offset, superblock.log_position);
}

// A right checksum does not make the fields right, so that each is validated.
Status Validate(const os::File& file, const ImageSuperblock& superblock) {
  const char* const path = file.path().c_str();
  if (superblock.version != kVersion || (superblock.read_features & ~kReadFeatures) != 0 ||
      superblock.contract > 1 || !IsKnown(superblock.codec)) {
    return Fail(Code::kVersion,
                "image '%s' is of version %" PRIu32 " with features 0x%" PRIx64
                "; this library knows version %" PRIu32
                " only: open it with another one, newer where its version is higher",
                path, superblock.version, superblock.read_features, kVersion);
  }
  const bool sane =
      superblock.base != 0 && IsAligned(superblock.base, kSubtreeBytes) &&
      superblock.capacity_bytes != 0 && IsAligned(superblock.capacity_bytes, kSubtreeBytes) &&
      Within(superblock.base, superblock.capacity_bytes, kAddressEnd) &&
      IsAligned(superblock.size_bytes, kSubtreeBytes) &&
      superblock.size_bytes <= superblock.capacity_bytes &&
      superblock.live_bytes <= superblock.size_bytes && superblock.generation < kGenerationsEnd;
  if (sane) return ValidateLog(file, superblock);
  return Fail(Code::kCorrupt,
              "image '%s': the superblock at offset %" PRIu64 " has an impossible base 0x%" PRIx64
              ", capacity %" PRIu64 ", size %" PRIu64 ", live bytes %" PRIu64
              " or generation %" PRIu64 "; restore it from a copy",
              path, SlotOffset(superblock.generation), superblock.base, superblock.capacity_bytes,
              superblock.size_bytes, superblock.live_bytes, superblock.generation);
}

Status NothingToChoose(const os::File& file, const ImageSuperblock (&slots)[2], Slot a, Slot b) {
  const char* const path = file.path().c_str();
  if (a == Slot::kForeign && b == Slot::kForeign) {
    return Fail(
        Code::kCorrupt,
        "'%s' is not a morsel's image: it does not begin like one; name a file that `morselctl "
        "export` made, or one of a directory pool",
        path);
  }
  for (const ImageSuperblock& slot : slots) {
    if (slot.magic == kMagic && slot.version > kVersion) {
      return Fail(Code::kVersion,
                  "image '%s' is of version %" PRIu32
                  " or damaged; this library knows version %" PRIu32
                  " only: use a newer one, or restore it from a copy",
                  path, slot.version, kVersion);
    }
  }
  return Fail(Code::kCorrupt,
              "image '%s' has no superblock: the one at offset 0 %s, the one at offset %" PRIu64
              " %s; restore it from a copy",
              path, Words(a), kSuperblockBytes, Words(b));
}

Status ReadSlots(const os::File& file, ImageSuperblock (&slots)[2]) {
  Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  if (*size_bytes < kExtentsStart) {
    return Fail(Code::kCorrupt,
                "'%s' has %" PRIu64
                " bytes, fewer than the superblocks of an image: it is foreign "
                "or was truncated; restore it from a copy",
                file.path().c_str(), *size_bytes);
  }
  return file.ReadExactly(slots, sizeof slots, 0);
}

}  // namespace

// How a crash is recovered from. Nothing else of an image needs recovery.
//
//   A         B         current  older   how it comes about
//   valid     valid     newer    other   there was no crash, or there was one before the next
//                                        superblock reached the medium. The generations differ by
//                                        1, never by 0 [IMG-2]. If they differ by more, the other
//                                        superblock protects nothing, and `older` is none: but see
//                                        ImageFile::TakeSpace() for images that have a log.
//   valid     not       A        none    the image was just created; or power was lost while B was
//                                        written, and A is the last checkpoint
//   not       valid     B        none    the same, with A and B exchanged
//   not       not       -        -       no crash leaves this: kCorrupt; kVersion if a slot has a
//                                        later version
//   the newer one valid, of an unknown version or feature   kVersion
//   the newer one valid, its tree or its fields damaged     kCorrupt; going back to the older one
//                                                           would lose a checkpoint silently
// A slot that cannot be read at all (EIO) may hold the newer superblock: kIo.
Result<ImageSuperblocks> ReadSuperblocks(const os::File& file) {
  OnHeap<Slots> both;
  ImageSuperblock(&slots)[2] = both->slots;
  MORSEL_TRY(ReadSlots(file, slots));
  Slot a = StateOf(slots[0], 0);
  Slot b = StateOf(slots[1], kSuperblockBytes);
  // Another process may be writing one, and the other before or after that. So two that are not
  // valid are read again until they stay as they are.
  for (int readings = 1; a != Slot::kValid && b != Slot::kValid; ++readings) {
    OnHeap<Slots> again;
    MORSEL_TRY(ReadSlots(file, again->slots));
    const bool stays = std::memcmp(again->slots, slots, sizeof slots) == 0;
    if (stays || readings == kReadingsMax) return NothingToChoose(file, slots, a, b);
    std::memcpy(slots, again->slots, sizeof slots);
    a = StateOf(slots[0], 0);
    b = StateOf(slots[1], kSuperblockBytes);
  }
  const bool newer_is_a =
      a == Slot::kValid && (b != Slot::kValid || slots[0].generation > slots[1].generation);
  const bool has_older = a == Slot::kValid && b == Slot::kValid;
  ImageSuperblocks chosen{
      .current = slots[newer_is_a ? 0 : 1], .older = std::nullopt, .other = std::nullopt};
  MORSEL_TRY(Validate(file, *chosen.current));
  const ImageSuperblock& other = slots[newer_is_a ? 1 : 0];
  if (has_older && Validate(file, other).ok()) {
    chosen.other = other;
    if (other.generation + 1 == chosen.current->generation) chosen.older = other;
  }
  return chosen;
}

Result<bool> LooksLikeImage(const os::File& file) {
  Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  for (const uint64_t offset : {uint64_t{0}, kSuperblockBytes}) {
    uint64_t magic = 0;
    if (!Within(offset, sizeof magic, *size_bytes)) return false;
    MORSEL_TRY(file.ReadExactly(&magic, sizeof magic, offset));
    if (magic == kMagic) return true;
  }
  return false;
}

Status MayWrite(const os::File& file, const ImageSuperblock& superblock) {
  if ((superblock.write_features & ~kWriteFeatures) == 0) return Code::kOk;
  return Fail(Code::kVersion,
              "image '%s' has features 0x%" PRIx64
              " that this library cannot write: open it read-only, or with a newer one",
              file.path().c_str(), superblock.write_features);
}

namespace {

OnHeap<ImageSuperblock> Sealed(const ImageSuperblock& superblock) {
  OnHeap<ImageSuperblock> sealed = superblock;
  sealed->checksum = ChecksumOf(superblock);
  return sealed;
}

}  // namespace

Status WriteSuperblock(const os::File& file, const ImageSuperblock& superblock) {
  const OnHeap<ImageSuperblock> sealed = Sealed(superblock);
  return file.WriteAll(&*sealed, sizeof *sealed, SlotOffset(sealed->generation));
}

// The extents of a generation are written over only once the second generation after it has been
// published. So one newer generation does no harm.                                       [IMG-1]
Status CheckNotOverwritten(const os::File& file, const ImageSuperblock& then) {
  const Result<ImageSuperblocks> now = ReadSuperblocks(file);
  if (now && now->current->id == then.id && now->current->generation >= then.generation &&
      now->current->generation <= then.generation + 1) {
    return Code::kOk;
  }
  if (!now && now.error() == Code::kIo) return now.status();
  return Fail(
      Code::kBusy,
      "image '%s' was written by somebody else while it was read, each time anew: try again when "
      "that makes fewer checkpoints, let that process export it itself, or close the morsel there",
      file.path().c_str());
}

Status OrOverwritten(const os::File& file, const ImageSuperblock& then, Status failure) {
  if (failure.code() != Code::kCorrupt) return failure;
  KeepLastError keep;
  const Status now = CheckNotOverwritten(file, then);
  if (now.code() != Code::kBusy) return failure;
  keep.LetGo();
  return now;
}

size_t LeftByWriter::SlotIndexOf(uint64_t generation) {
  return SlotOffset(generation) / kSuperblockBytes;
}

Status LeftByWriter::Take(const os::File& file) {
  OnHeap<Slots> both;
  MORSEL_TRY(file.ReadExactly(both->slots, sizeof both->slots, 0));
  for (size_t i = 0; i < 2; ++i) slots_[i] = Checksum64(&both->slots[i], kSuperblockBytes);
  TakeLength(file);
  return Code::kOk;
}

void LeftByWriter::Written(const ImageSuperblock& superblock) {
  slots_[SlotIndexOf(superblock.generation)] =
      Checksum64(&*Sealed(superblock), sizeof(ImageSuperblock));
}

void LeftByWriter::TakeLength(const os::File& file) {
  const KeepLastError keep;
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (size_bytes) size_bytes_ = *size_bytes;
}

Status LeftByWriter::Check(const os::File& file) const {
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  OnHeap<Slots> both;
  const Status read = file.ReadExactly(both->slots, sizeof both->slots, 0);
  if (!read.ok() && read.code() != Code::kCorrupt) return read;
  bool stands = read.ok() && *size_bytes >= size_bytes_;
  for (size_t i = 0; i < 2 && stands; ++i) {
    stands = !slots_[i] || *slots_[i] == Checksum64(&both->slots[i], kSuperblockBytes);
  }
  if (stands) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s' was written over or cut by somebody else while it was open for writing "
              "here: nothing is written into it any more; save the memory elsewhere "
              "(morsel_export), and discard the morsel",
              file.path().c_str());
}

}  // namespace morsel::image
