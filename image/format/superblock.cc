#include "image/format/superblock.h"

#include <cinttypes>
#include <cstring>

#include "base/bits.h"
#include "base/error.h"

namespace morsel::image {
namespace {

struct Slots {
  ImageSuperblock slots[2];
};
constexpr int kReadingsMax = 100;

enum class Slot { kForeign, kDamaged, kMisplaced, kUnreadable, kValid };

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
    case Slot::kUnreadable:
      return "cannot be read";
    case Slot::kValid:
      break;
  }
  return "is valid";
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

Status CheckHasSlots(const os::File& file) {
  Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  if (*size_bytes >= kExtentsStart) return Code::kOk;
  return Fail(Code::kCorrupt,
              "'%s' has %" PRIu64
              " bytes, fewer than the superblocks of an image: it is foreign "
              "or was truncated; restore it from a copy",
              file.path().c_str(), *size_bytes);
}

// Both slots, and what is in them.
struct BothSlots {
  OnHeap<Slots> both;
  Slot states[2];

  // Reads them, one by one if they cannot be read at once. With kTold one that cannot be read is
  // kUnreadable; if neither can be, the failure is returned.
  Status Read(const os::File& file, Unreadable unreadable) {
    for (Slot& state : states) state = Slot::kValid;
    const Status read = ReadAll(file, unreadable);
    if (!read.ok()) return read;
    for (size_t i = 0; i < 2; ++i) {
      if (states[i] != Slot::kUnreadable) states[i] = StateOf(both->slots[i], i * kSuperblockBytes);
    }
    return Code::kOk;
  }
  bool IsValid(size_t i) const { return states[i] == Slot::kValid; }
  // Whether nothing was ever written there, so that no other reading finds more.
  bool IsEmpty(size_t i) const {
    static const ImageSuperblock kEmpty{};
    return states[i] == Slot::kForeign && std::memcmp(&both->slots[i], &kEmpty, sizeof kEmpty) == 0;
  }
  // Whether another reading may find two valid ones.
  bool MayBecomeValid() const {
    return (!IsValid(0) && !(IsValid(1) && IsEmpty(0))) ||
           (!IsValid(1) && !(IsValid(0) && IsEmpty(1)));
  }

 private:
  Status ReadAll(const os::File& file, Unreadable unreadable) {
    {
      KeepLastError keep;
      const Status read = file.ReadExactly(both->slots, sizeof both->slots, 0);
      if (read.ok()) return read;
      if (unreadable == Unreadable::kFails || read.code() != Code::kIo) {
        keep.LetGo();
        return read;
      }
    }
    for (size_t i = 0; i < 2; ++i) {
      KeepLastError keep;
      const Status read = file.ReadExactly(&both->slots[i], kSuperblockBytes, i * kSuperblockBytes);
      if (read.ok()) continue;
      const bool is_only_one = read.code() == Code::kIo && states[0] != Slot::kUnreadable;
      if (!is_only_one) {
        keep.LetGo();
        return read;
      }
      states[i] = Slot::kUnreadable;
    }
    return Code::kOk;
  }
};

// Another process may be writing one, and the other before or after that. So what is not valid is
// read again until it stays as it is.
Status ReadUntilItStays(const os::File& file, Unreadable unreadable, BothSlots& slots) {
  MORSEL_TRY(slots.Read(file, unreadable));
  for (int readings = 1; slots.MayBecomeValid() && readings < kReadingsMax; ++readings) {
    BothSlots again;
    MORSEL_TRY(again.Read(file, unreadable));
    const bool stays = std::memcmp(&*again.both, &*slots.both, sizeof(Slots)) == 0;
    slots = std::move(again);
    if (stays) break;
  }
  return Code::kOk;
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
// A slot that cannot be read at all (EIO) may hold the newer superblock: who writes the image gets
// kIo, and who reads it is told. So is who reads one in which a slot is not valid: see DoubtOf().
Result<ImageSuperblocks> ReadSuperblocks(const os::File& file, Unreadable unreadable) {
  MORSEL_TRY(CheckHasSlots(file));
  BothSlots found;
  MORSEL_TRY(ReadUntilItStays(file, unreadable, found));
  const ImageSuperblock(&slots)[2] = found.both->slots;
  if (!found.IsValid(0) && !found.IsValid(1)) {
    return NothingToChoose(file, slots, found.states[0], found.states[1]);
  }
  const bool has_both = found.IsValid(0) && found.IsValid(1);
  const size_t newer =
      has_both ? (slots[0].generation > slots[1].generation ? 0 : 1) : (found.IsValid(0) ? 0 : 1);
  const ImageSuperblock& other = slots[1 - newer];
  ImageSuperblocks chosen{.current = slots[newer], .older = std::nullopt, .other = std::nullopt};
  MORSEL_TRY(ValidateSuperblock(file, *chosen.current));
  const KeepLastError keep;
  if (has_both && ValidateSuperblock(file, other).ok()) {
    chosen.other = other;
    if (other.generation + 1 == chosen.current->generation) chosen.older = other;
  } else if (found.states[1 - newer] == Slot::kUnreadable) {
    chosen.doubt = Doubt::kUnreadable;
  } else if (!has_both && !found.IsEmpty(1 - newer)) {
    chosen.doubt = DoubtOf(file, other, (1 - newer) * kSuperblockBytes, *chosen.current);
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
  const Result<ImageSuperblocks> now = ReadSuperblocks(file, Unreadable::kTold);
  if (now && now->current->id == then.id && now->current->generation >= then.generation &&
      now->current->generation <= then.generation + 1) {
    return Code::kOk;
  }
  if (!now && now.error() == Code::kIo) return now.status();
  if (now && now->doubt == Doubt::kUnreadable) {
    return Fail(Code::kIo, "image '%s': one of its superblocks cannot be read",
                file.path().c_str());
  }
  return Fail(kOvertaken, "image '%s' was written by somebody else while it was read",
              file.path().c_str());
}

Status OrOverwritten(const os::File& file, const ImageSuperblock& then, Status failure) {
  if (failure.code() != Code::kCorrupt) return failure;
  KeepLastError keep;
  const Status now = CheckNotOverwritten(file, then);
  if (now.code() != kOvertaken) return failure;
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
  OnHeap<Slots> both;
  const Result<struct stat> read = file.StatAndRead(both->slots, sizeof both->slots, 0);
  if (!read && read.error() != Code::kCorrupt) return read.status();
  bool stands = read && static_cast<uint64_t>(read->st_size) >= size_bytes_;
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
