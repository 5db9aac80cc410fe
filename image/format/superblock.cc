#include "image/format/superblock.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

#include "base/bits.h"
#include "base/error.h"
#include "image/format/version_4.h"

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

// Whether the superblock belongs into the slot. Those of versions before had no number, and nothing
// is known of those of later ones.
bool BelongsInto(size_t slot, const ImageSuperblock& superblock) {
  if (superblock.version > kVersion) return true;
  const uint64_t number =
      superblock.version == kVersion ? superblock.sequence : superblock.generation;
  return number != 0 && SlotIndex(number) == slot;
}

Slot StateOf(const ImageSuperblock& superblock, size_t slot) {
  if (superblock.magic != kMagic) return Slot::kForeign;
  if (superblock.checksum != ChecksumOf(superblock)) return Slot::kDamaged;
  return BelongsInto(slot, superblock) ? Slot::kValid : Slot::kMisplaced;
}

const char* Words(Slot state) {
  switch (state) {
    case Slot::kForeign:
      return "has no magic";
    case Slot::kDamaged:
      return "fails its checksum";
    case Slot::kMisplaced:
      return "has a number that does not belong there";
    case Slot::kUnreadable:
      return "cannot be read";
    case Slot::kValid:
      break;
  }
  return "is valid";
}

Status FailTooShort(const os::File& file, uint64_t file_bytes) {
  return Fail(Code::kCorrupt,
              "'%s' has %" PRIu64
              " bytes, fewer than the superblocks of an image: it is foreign "
              "or was truncated; restore it from a copy",
              file.path().c_str(), file_bytes);
}

// Both slots, and what is in them. Of an image of version 4 its own two, translated.
struct BothSlots {
  OnHeap<Slots> both;
  Slot states[2] = {Slot::kValid, Slot::kValid};
  const uint64_t* offsets = kSlotOffsets;

  // One that cannot be read is kUnreadable; if neither can be, the failure is returned.
  Status Read(const os::File& file) {
    const Result<uint64_t> file_bytes = file.SizeBytes();
    if (!file_bytes) return file_bytes.status();
    if (*file_bytes < kExtentsStart) return FailTooShort(file, *file_bytes);
    MORSEL_TRY(ReadSlot(file, 0, kSlotOffsets[0], /*must_read=*/false));
    MORSEL_TRY(ReadSlot(file, 1, kSlotOffsets4[1], /*must_read=*/false));
    if (IsOfVersion4()) {
      offsets = kSlotOffsets4;
      for (size_t i = 0; i < 2; ++i) {
        if (IsValid(i) && both->slots[i].version == 4) {
          TranslateFromVersion4(both->slots[i]);
        }
      }
      return Code::kOk;
    }
    if (*file_bytes < kFileBytesMin) {
      return states[0] == Slot::kForeign ? FailForeign(file) : FailTooShort(file, *file_bytes);
    }
    return ReadSlot(file, 1, kSlotOffsets[1], /*must_read=*/states[0] == Slot::kUnreadable);
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

  static Status FailForeign(const os::File& file) {
    return Fail(
        Code::kCorrupt,
        "'%s' is not a morsel's image: it does not begin like one; name a file that `morselctl "
        "export` made, or one of a directory pool",
        file.path().c_str());
  }

 private:
  // The block of version 4's slot B is never written in this version.
  bool IsOfVersion4() const {
    return both->slots[1].magic == kMagic || (IsValid(0) && both->slots[0].version < kVersion);
  }
  Status ReadSlot(const os::File& file, size_t i, uint64_t offset, bool must_read) {
    KeepLastError keep;
    const Status read = file.ReadExactly(&both->slots[i], kSuperblockBytes, offset);
    if (read.ok()) {
      states[i] = StateOf(both->slots[i], i);
      return read;
    }
    if (read.code() != Code::kIo || must_read) {
      keep.LetGo();
      return read;
    }
    std::memset(&both->slots[i], 0, sizeof both->slots[i]);
    states[i] = Slot::kUnreadable;
    return Code::kOk;
  }
};

Status NothingToChoose(const os::File& file, const BothSlots& found) {
  const char* const path = file.path().c_str();
  if (found.states[0] == Slot::kForeign && found.states[1] == Slot::kForeign) {
    return BothSlots::FailForeign(file);
  }
  for (const ImageSuperblock& slot : found.both->slots) {
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
              path, Words(found.states[0]), found.offsets[1], Words(found.states[1]));
}

// Another process may be writing one, and the other before or after that. So what is not valid is
// read again until it stays as it is.
Status ReadUntilItStays(const os::File& file, BothSlots& slots) {
  MORSEL_TRY(slots.Read(file));
  for (int readings = 1; slots.MayBecomeValid() && readings < kReadingsMax; ++readings) {
    BothSlots again;
    MORSEL_TRY(again.Read(file));
    const bool stays = std::memcmp(&*again.both, &*slots.both, sizeof(Slots)) == 0;
    slots = std::move(again);
    if (stays) break;
  }
  return Code::kOk;
}

}  // namespace

// How a crash is recovered from. Nothing else of an image needs recovery.
//
//   A         B         current  how it comes about
//   valid     valid     newer    there was no crash, and both lead to the same state; or there was
//                                one before the next superblock reached the medium, or before it
//                                was written into the other slot, too. The numbers differ by 1,
//                                never by 0 [IMG-2]
//   valid     not       A        power was lost while B was written, and A is the last checkpoint,
//                                or B has rotted
//   not       valid     B        the same, with A and B exchanged
//   not       not       -        no crash leaves this: kCorrupt; kVersion if a slot has a later
//                                version
//   the newer one valid, of an unknown version or feature   kVersion
//   the newer one valid, its tree or its fields damaged     kCorrupt; going back to the older one
//                                                           would lose a checkpoint silently
// What a checkpoint has promised is in both slots, unless one could not be written. A slot that
// cannot be read at all (EIO) is told, as one that is not valid is: see DoubtOf().
Result<ImageSuperblocks> ReadSuperblocks(const os::File& file) {
  BothSlots found;
  MORSEL_TRY(ReadUntilItStays(file, found));
  const ImageSuperblock(&slots)[2] = found.both->slots;
  if (!found.IsValid(0) && !found.IsValid(1)) return NothingToChoose(file, found);
  const bool has_both = found.IsValid(0) && found.IsValid(1);
  const size_t newer =
      has_both ? (slots[0].sequence > slots[1].sequence ? 0 : 1) : (found.IsValid(0) ? 0 : 1);
  const ImageSuperblock& other = slots[1 - newer];
  ImageSuperblocks chosen{
      .current = slots[newer], .other = std::nullopt, .other_offset = found.offsets[1 - newer]};
  MORSEL_TRY(ValidateSuperblock(file, *chosen.current));
  const KeepLastError keep;
  if (has_both && ValidateSuperblock(file, other).ok()) {
    chosen.other = other;
  } else if (found.states[1 - newer] == Slot::kUnreadable) {
    chosen.doubt = Doubt::kUnreadable;
  } else if (!has_both && !found.IsEmpty(1 - newer)) {
    chosen.doubt = IsOfVersion4(*chosen.current)
                       ? Doubt::kUnfinished
                       : DoubtOf(file, other, chosen.other_offset, *chosen.current);
  }
  return chosen;
}

bool LeadToTheSame(const ImageSuperblock& one, const ImageSuperblock& other) {
  OnHeap<ImageSuperblock> as_other = one;
  as_other->sequence = other.sequence;
  as_other->checksum = other.checksum;
  return std::memcmp(&*as_other, &other, sizeof other) == 0;
}

Result<bool> LooksLikeImage(const os::File& file) {
  Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  for (const uint64_t offset : {kSlotOffsets[0], kSlotOffsets4[1], kSlotOffsets[1]}) {
    uint64_t magic = 0;
    if (!Within(offset, sizeof magic, *size_bytes)) return false;
    MORSEL_TRY(file.ReadExactly(&magic, sizeof magic, offset));
    if (magic == kMagic) return true;
  }
  return false;
}

// Where nothing can be told, whoever opens it tells why.
bool IsOfVersion4(const os::File& file) {
  const KeepLastError keep;
  const Result<ImageSuperblocks> found = ReadSuperblocks(file);
  return found && IsOfVersion4(*found->current);
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
  return file.WriteAll(&*sealed, sizeof *sealed, SlotOffset(sealed->sequence));
}

// What a superblock leads to is written over only once both slots have later ones that lead
// elsewhere. So one later superblock does no harm: it may be the same state's second one, or the
// first one of the next state.                                                            [IMG-1]
Status CheckNotOverwritten(const os::File& file, const ImageSuperblock& then) {
  const Result<ImageSuperblocks> now = ReadSuperblocks(file);
  if (now && now->current->id == then.id && now->current->version == then.version &&
      now->current->sequence >= then.sequence && now->current->sequence <= then.sequence + 1) {
    return Code::kOk;
  }
  if (!now && now.error() == Code::kIo) return now.status();
  if (now && now->doubt == Doubt::kUnreadable) {
    return Fail(Code::kIo, "image '%s': one of its superblocks cannot be read",
                file.path().c_str());
  }
  return IsOvertaken(file);
}

Status IsOvertaken(const os::File& file) {
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

Status LeftByWriter::Take(const os::File& file, const ImageSuperblock& current) {
  newest_ = SlotIndex(current.sequence);
  OnHeap<ImageSuperblock> slot;
  for (size_t i = 0; i < 2; ++i) {
    KeepLastError keep;
    const Status read = file.ReadExactly(&*slot, sizeof *slot, kSlotOffsets[i]);
    slots_[i].reset();
    if (read.ok()) slots_[i] = Checksum64(&*slot, sizeof *slot);
    if (read.ok() || read.code() == Code::kIo) continue;
    keep.LetGo();
    return read;
  }
  TakeLength(file);
  return Code::kOk;
}

void LeftByWriter::Written(const ImageSuperblock& superblock) {
  newest_ = SlotIndex(superblock.sequence);
  slots_[SlotIndex(superblock.sequence)] =
      Checksum64(&*Sealed(superblock), sizeof(ImageSuperblock));
}

void LeftByWriter::TakeLength(const os::File& file) {
  const KeepLastError keep;
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (size_bytes) size_bytes_ = *size_bytes;
}

// The kernel's time of a change is by the same clock, or by a coarser one, which is behind. So what
// somebody changes within that grain after this is not seen to be later.
void LeftByWriter::TakeTime() { clock_gettime(CLOCK_REALTIME, &written_until_); }

// Another writer begins with the slot that is written next.
Result<bool> LeftByWriter::Check(const os::File& file) const {
  const size_t next = slots_[1 - newest_] ? 1 - newest_ : newest_;
  OnHeap<ImageSuperblock> slot;
  const Result<struct stat> read = file.StatAndRead(&*slot, sizeof *slot, kSlotOffsets[next]);
  if (!read && read.error() != Code::kCorrupt) return read.status();
  const bool stands = read && static_cast<uint64_t>(read->st_size) >= size_bytes_ &&
                      (!slots_[next] || *slots_[next] == Checksum64(&*slot, sizeof *slot));
  if (!stands) return IsOverwritten(file);
  const timespec& changed = read->st_ctim;
  return changed.tv_sec != written_until_.tv_sec ? changed.tv_sec > written_until_.tv_sec
                                                 : changed.tv_nsec > written_until_.tv_nsec;
}

Status LeftByWriter::IsOverwritten(const os::File& file) {
  return Fail(Code::kCorrupt,
              "image '%s' was written over or cut by somebody else while it was open for writing "
              "here: nothing is written into it any more; save the memory elsewhere "
              "(morsel_export), and discard the morsel",
              file.path().c_str());
}

}  // namespace morsel::image
