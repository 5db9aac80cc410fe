#include "morsel/carved/carved_pool_superblock.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <vector>

#include "base/bits.h"
#include "base/error.h"
#include "base/size_words.h"
#include "image/format/layout.h"
#include "morsel/pool/pool.h"
#include "morsel/pool/pool_id.h"

namespace morsel {
namespace {

OnHeap<PoolSuperblock> At(const char* bytes, uint64_t number) {
  OnHeap<PoolSuperblock> superblock;
  std::memcpy(&*superblock, bytes + number * kSuperblockBytes, sizeof *superblock);
  return superblock;
}

uint64_t* WordsAt(char* medium, uint64_t number) {
  return reinterpret_cast<uint64_t*>(medium + number * kSuperblockBytes);
}

enum class Kind { kNone, kBroken, kUnknownVersion, kValid };

Kind KindOf(const PoolSuperblock& superblock) {
  if (superblock.magic != kPoolMagic) return Kind::kNone;
  if (superblock.checksum != ChecksumOf(superblock)) return Kind::kBroken;
  return superblock.version == kPoolVersion ? Kind::kValid : Kind::kUnknownVersion;
}

// Names the field that cannot be right, or returns nullptr. The fields are checked even if the
// checksum is good, because a pool may have been made to deceive.
const char* LayoutFault(const PoolSuperblock& s) {  // [POOL-2]
  constexpr uint64_t kTooMuch = uint64_t{2} << 50;
  // Parts of the metadata lie close together, so that a file cannot claim that it has much of them.
  constexpr uint64_t kGapsMax = kMiB;
  if (s.header_bytes != sizeof(PoolSuperblock)) return "header_bytes";
  if (s.size_bytes > kTooMuch || s.unit_bytes < kSubtreeBytes || s.unit_bytes > kGiantBytes ||
      !IsAligned(s.unit_bytes, kSubtreeBytes) || (s.unit_bytes & (s.unit_bytes - 1)) != 0) {
    return "size_bytes or unit_bytes";
  }
  const bool is_single = (s.features & kPoolSingle) != 0;
  if (s.slot_count < kSlotsMin || s.slot_count > (is_single ? kSlotsMin : kSlotsMax)) {
    return "slot_count";
  }
  if (s.subtree_count == 0 || s.subtree_count > s.size_bytes / kSubtreeBytes)
    return "subtree_count";
  if (s.journal_bytes != pmem::kJournalBytes) return "journal_bytes";
  for (const uint64_t offset :
       {s.use_offset, s.journal_offset, s.catalog_offset, s.map_offset, s.metadata_bytes}) {
    if (!IsAligned(offset, kPageBytes) || offset > s.size_bytes) return "an offset";
  }
  if (s.use_offset < kSuperblocks * kSuperblockBytes ||
      s.journal_offset < s.use_offset + sizeof(PoolUse) ||
      s.catalog_offset < s.journal_offset + s.journal_bytes ||
      s.map_offset < s.catalog_offset + s.slot_count * sizeof(CatalogSlot) ||
      s.metadata_bytes < s.map_offset + s.subtree_count * sizeof(uint64_t) ||
      s.data_offset < s.metadata_bytes || !IsAligned(s.data_offset, s.unit_bytes) ||
      !Within(s.data_offset, s.subtree_count * kSubtreeBytes, s.size_bytes)) {
    return "an offset or a count";
  }
  const uint64_t before_map_bytes = kSuperblocks * kSuperblockBytes + sizeof(PoolUse) +
                                    s.journal_bytes + s.slot_count * sizeof(CatalogSlot);
  if (s.map_offset > before_map_bytes + kGapsMax ||
      s.metadata_bytes > s.map_offset + s.subtree_count * sizeof(uint64_t) + kGapsMax) {
    return "the size of its metadata";
  }
  if (!IsPossible({s.window_begin, s.window_end})) {
    return "the address window";
  }
  return nullptr;
}

Result<OnHeap<PoolSuperblock>> Validated(const PoolSuperblock& chosen, uint64_t medium_bytes,
                                         const std::string& subject) {
  if ((chosen.features & ~kPoolFeaturesKnown) != 0) {
    return Fail(Code::kVersion,
                "%s uses features (0x%" PRIx64
                ") that this library does not know; open it with a "
                "newer one",
                subject.c_str(), chosen.features & ~kPoolFeaturesKnown);
  }
  if (const char* const fault = LayoutFault(chosen)) {
    return Fail(
        Code::kCorrupt,
        "%s: its superblock is signed, but %s in it cannot be; restore the pool from a copy",
        subject.c_str(), fault);
  }
  if (medium_bytes < chosen.size_bytes) {
    return Fail(Code::kCorrupt,
                "%s is %s long and was made of %s: it was truncated; restore it from a copy",
                subject.c_str(), FormatSizeExactly(medium_bytes).c_str(),
                FormatSizeExactly(chosen.size_bytes).c_str());
  }
  return OnHeap<PoolSuperblock>(chosen);
}

// Fills in everything but the checksum.
OnHeap<PoolSuperblock> Planned(uint64_t size_bytes, const Window& window, const Id& id,
                               uint64_t unit_bytes, uint64_t slot_count) {
  OnHeap<PoolSuperblock> planned;
  PoolSuperblock& s = *planned;
  s.magic = kPoolMagic;
  s.version = kPoolVersion;
  s.header_bytes = sizeof(PoolSuperblock);
  s.sequence = 1;
  std::copy(id.begin(), id.end(), std::begin(s.id));
  s.window_begin = window.begin;
  s.window_end = window.end;
  s.size_bytes = size_bytes;
  s.unit_bytes = unit_bytes;
  // The map has a word for each subtree of the whole medium, so a few more than are needed: those
  // of the metadata.
  const uint64_t subtrees = size_bytes / kSubtreeBytes;
  s.slot_count = slot_count;
  s.use_offset = kSuperblocks * kSuperblockBytes;
  s.journal_offset = s.use_offset + sizeof(PoolUse);
  s.journal_bytes = pmem::kJournalBytes;
  s.catalog_offset = s.journal_offset + s.journal_bytes;
  s.map_offset = AlignUp(s.catalog_offset + s.slot_count * sizeof(CatalogSlot), kPageBytes);
  s.metadata_bytes = AlignUp(s.map_offset + subtrees * sizeof(uint64_t), kPageBytes);
  s.data_offset = AlignUp(s.metadata_bytes, s.unit_bytes);
  s.subtree_count = (size_bytes - s.data_offset) / kSubtreeBytes;
  return planned;
}

}  // namespace

Result<OnHeap<PoolSuperblock>> PlanSuperblock(uint64_t size_bytes, const Window& window,
                                              const Id& id, const std::string& subject,
                                              uint64_t unit_bytes) {
  if (size_bytes < 2 * unit_bytes || size_bytes > uint64_t{1} << 50) {
    return Fail(Code::kInvalidArgument,
                "%s cannot be made of %s: a pool needs %s at least (%s for itself and as much for "
                "each subtree of a morsel)",
                subject.c_str(), FormatSizeExactly(size_bytes).c_str(),
                FormatSizeExactly(2 * unit_bytes).c_str(), FormatSizeExactly(unit_bytes).c_str());
  }
  const uint64_t slots = std::clamp(size_bytes / kSubtreeBytes, kSlotsMin, kSlotsMax);
  OnHeap<PoolSuperblock> s = Planned(size_bytes, window, id, unit_bytes, slots);
  s->checksum = ChecksumOf(*s);
  return s;
}

Result<OnHeap<PoolSuperblock>> PlanSingle(uint64_t capacity_bytes, const Window& window,
                                          const Id& id, const std::string& subject) {
  if (capacity_bytes > uint64_t{1} << 50) {
    return Fail(Code::kInvalidArgument, "%s cannot have a capacity of %s: no file is that large",
                subject.c_str(), FormatSizeExactly(capacity_bytes).c_str());
  }
  // The file is sparse: parts that are not used take no space.
  uint64_t size_bytes = capacity_bytes + kSubtreeBytes;
  OnHeap<PoolSuperblock> s = Planned(size_bytes, window, id, kSubtreeBytes, kSlotsMin);
  while (s->subtree_count * kSubtreeBytes < capacity_bytes) {
    size_bytes += kSubtreeBytes;
    s = Planned(size_bytes, window, id, kSubtreeBytes, kSlotsMin);
  }
  s->features = kPoolSingle;
  s->checksum = ChecksumOf(*s);
  return s;
}

bool LooksForeign(const char* bytes) {
  return KindOf(*At(bytes, 0)) == Kind::kNone && KindOf(*At(bytes, 1)) == Kind::kNone;
}

bool LooksSingle(const char* bytes) {
  for (uint64_t number = 0; number < kSuperblocks; ++number) {
    const OnHeap<PoolSuperblock> s = At(bytes, number);
    if (s->magic == kPoolMagic && (s->features & kPoolSingle) != 0) return true;
  }
  return false;
}

void EraseSuperblocks(char* medium, pmem::Persist persist) {
  for (uint64_t number = 0; number < kSuperblocks; ++number) {
    pmem::Store(WordsAt(medium, number), 0);
    persist.Flush(WordsAt(medium, number), sizeof(uint64_t));
  }
  persist.Fence();
}

void WriteSuperblocks(char* medium, const PoolSuperblock& superblock, pmem::Persist persist) {
  static_assert(offsetof(PoolSuperblock, magic) == 0);
  std::vector<uint64_t> words(kSuperblockBytes / sizeof(uint64_t));
  std::memcpy(words.data(), &superblock, kSuperblockBytes);
  for (uint64_t number = 0; number < kSuperblocks; ++number) {
    uint64_t* const at = WordsAt(medium, number);
    for (size_t i = 1; i < words.size(); ++i) pmem::Store(at + i, words[i]);
    persist.Flush(at, kSuperblockBytes);
  }
  // ORDER  everything else of the pool  <  the magics
  // WHY    a superblock with magic and checksum is believed, and so is what it points to. [POOL-1]
  // CRASH  before: the medium holds no pool. After the first: the pool; nobody writes B again.
  // TEST   morsel/carved/carved_pool_metadata_test: FormattingIsAllOrNothing  <- fails when swapped
  persist.Fence();
  for (uint64_t number = 0; number < kSuperblocks; ++number) {
    persist.Publish(WordsAt(medium, number), superblock.magic);
  }
}

// What the two superblocks are, in either order, and what is returned:
//
//   an unknown version, and anything    kVersion: that one may be the newest
//   valid, valid                        the one of higher sequence; A if equal
//   valid, broken or none               the valid one
//   broken, broken or none              kCorrupt: damaged
//   none, none                          kCorrupt: foreign
Result<OnHeap<PoolSuperblock>> ChooseSuperblock(const char* bytes, uint64_t medium_bytes,
                                                const std::string& subject) {
  const OnHeap<PoolSuperblock> first = At(bytes, 0);
  const OnHeap<PoolSuperblock> second = At(bytes, 1);
  const PoolSuperblock& a = *first;
  const PoolSuperblock& b = *second;
  const Kind kind_a = KindOf(a);
  const Kind kind_b = KindOf(b);
  if (kind_a == Kind::kUnknownVersion || kind_b == Kind::kUnknownVersion) {
    return Fail(Code::kVersion,
                "%s is of version %u; this library knows version %u: open it with a newer one",
                subject.c_str(), kind_a == Kind::kUnknownVersion ? a.version : b.version,
                kPoolVersion);
  }
  if (kind_a == Kind::kValid && (kind_b != Kind::kValid || a.sequence >= b.sequence)) {
    return Validated(a, medium_bytes, subject);
  }
  if (kind_b == Kind::kValid) return Validated(b, medium_bytes, subject);
  if (kind_a == Kind::kBroken || kind_b == Kind::kBroken) {
    return Fail(Code::kCorrupt,
                "%s: both superblocks (offsets 0 and %" PRIu64
                ") have bad checksums; restore the pool from a copy",
                subject.c_str(), kSuperblockBytes);
  }
  if (a.magic == image::kMagic || b.magic == image::kMagic) {
    return Fail(Code::kInvalidArgument,
                "%s is no pool but the image of a morsel: `morselctl info`, `verify` and `salvage` "
                "take it as it is, and `morselctl import POOL FILE` brings it into a pool",
                subject.c_str());
  }
  return Fail(Code::kCorrupt,
              "%s is no morsel pool: no superblock at offset 0 or %" PRIu64
              " (it begins with 0x%016" PRIx64 "); name a pool, or make one at another path",
              subject.c_str(), kSuperblockBytes, a.magic);
}

bool SuperblocksAgree(const char* bytes) {
  OnHeap<PoolSuperblock> first = At(bytes, 0);
  OnHeap<PoolSuperblock> second = At(bytes, 1);
  PoolSuperblock& a = *first;
  PoolSuperblock& b = *second;
  if (KindOf(a) != Kind::kValid || KindOf(b) != Kind::kValid) return false;
  a.sequence = b.sequence = 0;
  a.checksum = b.checksum = 0;
  return std::memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace morsel
