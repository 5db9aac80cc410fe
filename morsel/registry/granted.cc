#include "morsel/registry/granted.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>
#include <vector>

#include "base/bits.h"
#include "base/checksum.h"
#include "base/error.h"

namespace morsel {
namespace {

// A pool's slot is one of these many behind the one that its name leads to.
constexpr uint64_t kProbes = 32;
// So many words are read at once.
constexpr uint64_t kWordsAtOnce = 32 * kKiB;

// The first of the slots among which a pool's is.
GranuleWord FirstSlot(const RegisteredPool& pool) {
  const uint64_t hash =
      Checksum64(pool.id.data(), pool.id.size()) ^ Checksum64(pool.path.data(), pool.path.size());
  return static_cast<GranuleWord>(1 + hash % (kPoolsMax - kProbes + 1));
}

bool IsFree(const RegisteredPoolSlot& slot) { return slot.checksum == 0; }

std::string_view PathKept(const std::string& path) {
  const bool fits = path.size() < sizeof RegisteredPoolSlot::path;
  return fits ? std::string_view(path) : std::string_view();
}

bool IsOf(const RegisteredPoolSlot& slot, const RegisteredPool& pool) {
  return IsWhole(slot) && slot.id == pool.id &&
         std::string_view(slot.path, slot.path_bytes) == PathKept(pool.path);
}

RegisteredPoolSlot NewSlot(const RegisteredPool& pool) {
  RegisteredPoolSlot slot{};
  const FileSystemOf file_system = FileSystemAt(pool.path);
  const std::string_view path = PathKept(pool.path);
  slot.id = pool.id;
  slot.file_system_id = file_system.id;
  slot.file_system_type = file_system.type;
  slot.is_device = pool.is_device;
  slot.path_bytes = static_cast<uint32_t>(path.size());
  std::memcpy(slot.path, path.data(), path.size());
  const uint64_t places = (pool.window.end - pool.window.begin) / kGiantBytes;
  const uint64_t place = Checksum64(pool.id.data(), pool.id.size()) % places;
  slot.next_granule = (pool.window.begin + place * kGiantBytes) / kGranuleBytes;
  return slot;
}

// Returns the pool's slot; without one, a free one that it may have, in which nothing is yet.
Result<std::optional<FoundSlot>> FindOrFree(const RegistryFile& file, const RegisteredPool& pool) {
  const GranuleWord first = FirstSlot(pool);
  const Result<std::vector<RegisteredPoolSlot>> slots = file.ReadSlots(first, kProbes);
  if (!slots) return slots.status();
  std::optional<FoundSlot> free;
  for (uint64_t i = 0; i < kProbes; ++i) {
    const RegisteredPoolSlot& slot = (*slots)[i];
    const auto number = static_cast<GranuleWord>(first + i);
    if (IsOf(slot, pool)) return std::optional(FoundSlot{number, slot});
    if (!free && IsFree(slot)) free = FoundSlot{number, {}};
  }
  return free;
}

// Who has which granule, by what is known of the owners' slots.
class Owners {
 public:
  explicit Owners(const RegistryFile& file) : file_(file) {}

  // Whether the pool of the slot is gone, so that others may have what it had.
  bool IsGone(GranuleWord number) {
    const auto [known, is_new] = gone_.emplace(number, false);
    if (!is_new) return known->second;
    const Result<std::vector<RegisteredPoolSlot>> slots = file_.ReadSlots(number, 1);
    if (slots && IsFree((*slots)[0])) known->second = true;
    if (slots && IsWhole((*slots)[0])) known->second = PresenceOf((*slots)[0]) == Presence::kGone;
    return known->second;
  }

 private:
  const RegistryFile& file_;
  std::map<GranuleWord, bool> gone_;
};

// Calls change(granule, word&) for the words of [begin, end), and writes what has changed.
template <class Change>
Status ChangeWords(const RegistryFile& file, const GranuleSpan& span, const Change& change) {
  for (uint64_t at = span.begin; at < span.end; at += kWordsAtOnce) {
    const uint64_t end = std::min(at + kWordsAtOnce, span.end);
    const Result<std::vector<GranuleWord>> words = file.ReadWords(at, end);
    if (!words) return words.status();
    std::vector<GranuleWord> changed = *words;
    for (uint64_t i = 0; i < changed.size(); ++i) change(at + i, changed[i]);
    if (changed != *words) MORSEL_TRY(file.WriteWords(at, changed));
  }
  return Code::kOk;
}

}  // namespace

GranuleSpan GranulesOf(const AddressSpan& span) {
  return {span.begin / kGranuleBytes, DivideUp(span.end, kGranuleBytes)};
}

Result<std::optional<FoundSlot>> FindSlot(const RegistryFile& file, const RegisteredPool& pool) {
  Result<std::optional<FoundSlot>> found = FindOrFree(file, pool);
  if (found && *found && IsFree((*found)->slot)) found = std::optional<FoundSlot>();
  return found;
}

Result<FoundSlot> Learn(const RegistryFile& file, const RegisteredPool& pool,
                        const PoolStamp& stamp, const std::vector<AddressSpan>& spans) {
  Result<std::optional<FoundSlot>> found = FindOrFree(file, pool);
  if (!found) return found.status();
  if (!*found) {
    MORSEL_TRY(SweepGone(file, &pool));
    found = FindOrFree(file, pool);
    if (!found) return found.status();
  }
  if (!*found) {
    return Fail(Code::kNoSpace, "the registry has no slot for pool '%s'", pool.path.c_str());
  }
  FoundSlot own = **found;
  if (IsFree(own.slot)) own.slot = NewSlot(pool);
  own.slot.changed_ns = stamp.changed_ns;
  own.slot.names_given = stamp.names_given;

  GranuleSpan all = {pool.window.begin / kGranuleBytes, pool.window.end / kGranuleBytes};
  std::map<uint64_t, int> morsels_in;  // by granule
  for (const AddressSpan& span : spans) {
    if (span.begin >= span.end || span.end > kAddressEnd) continue;  // a damaged morsel's
    const GranuleSpan granules = GranulesOf(span);
    for (uint64_t at = granules.begin; at < granules.end; ++at) ++morsels_in[at];
    all = {std::min(all.begin, granules.begin), std::max(all.end, granules.end)};
  }
  Owners owners(file);
  MORSEL_TRY(ChangeWords(file, all, [&](uint64_t granule, GranuleWord& word) {
    const GranuleWord owner = OwnerOf(word);
    const auto known = morsels_in.find(granule);
    const int morsels = known == morsels_in.end() ? 0 : known->second;
    if (morsels == 0 && owner == own.number) {
      const AddressSpan span = {granule * kGranuleBytes, (granule + 1) * kGranuleBytes};
      if (!pool.is_being_made(span)) word = 0;
    } else if (morsels > 0 && (owner == 0 || owner == own.number || owners.IsGone(owner))) {
      word = static_cast<GranuleWord>(own.number | (morsels > 1 ? kSharedGranule : 0));
    }
  }));
  MORSEL_TRY(file.WriteSlot(own.number, own.slot));
  return own;
}

Result<std::optional<uint64_t>> FirstFree(const RegistryFile& file, uint64_t from, uint64_t end,
                                          uint64_t size_bytes, const BaseGrid& grid) {
  const BaseGrid granules(std::max(grid.step, kGranuleBytes) / kGranuleBytes,
                          grid.first / kGranuleBytes);
  const uint64_t in_granule = grid.first % kGranuleBytes;  // of a base
  const uint64_t needed = DivideUp(in_granule + size_bytes, kGranuleBytes);
  const uint64_t last = end / kGranuleBytes;
  uint64_t begin = granules.From(DivideUp(from - std::min(from, in_granule), kGranuleBytes));
  for (uint64_t at = begin; at < last && begin + needed <= last; at += kWordsAtOnce) {
    const Result<std::vector<GranuleWord>> words =
        file.ReadWords(at, std::min(at + kWordsAtOnce, last));
    if (!words) return words.status();
    for (uint64_t i = 0; i < words->size(); ++i) {
      if (at + i < begin) continue;
      if ((*words)[i] != 0) {
        begin = granules.From(at + i + 1);
      } else if (at + i + 1 - begin == needed) {
        return std::optional(begin * kGranuleBytes + in_granule);
      }
    }
  }
  return std::optional<uint64_t>();
}

Result<FreeAddresses> CountFree(const RegistryFile& file, const Window& window) {
  FreeAddresses free;
  const uint64_t last = window.end / kGranuleBytes;
  uint64_t begin = window.begin / kGranuleBytes;  // of the piece that `at` is in
  const auto end_piece = [&](uint64_t end) {
    const uint64_t giant = AlignUp(begin * kGranuleBytes, kGiantBytes);
    free.bytes += (end - begin) * kGranuleBytes;
    free.longest_bytes = std::max(free.longest_bytes, (end - begin) * kGranuleBytes);
    if (giant < end * kGranuleBytes) {
      free.longest_giant_bytes = std::max(free.longest_giant_bytes, end * kGranuleBytes - giant);
    }
  };
  for (uint64_t at = begin; at < last;) {
    const Result<std::vector<GranuleWord>> words =
        file.ReadWords(at, std::min(at + kWordsAtOnce, last));
    if (!words) return words.status();
    for (const GranuleWord word : *words) {
      if (word != 0) {
        end_piece(at);
        begin = at + 1;
      }
      ++at;
    }
  }
  end_piece(last);
  return free;
}

Result<std::optional<RegisteredPoolSlot>> AnotherHolder(const RegistryFile& file,
                                                        const RegisteredPool& own,
                                                        const AddressSpan& span) {
  const Result<std::optional<FoundSlot>> found = FindSlot(file, own);
  if (!found) return found.status();
  const GranuleSpan granules = GranulesOf(span);
  const Result<std::vector<GranuleWord>> words = file.ReadWords(granules.begin, granules.end);
  if (!words) return words.status();
  GranuleWord seen = *found ? (*found)->number : GranuleWord{0};
  for (const GranuleWord word : *words) {
    const GranuleWord owner = OwnerOf(word);
    if (owner == 0 || owner > kPoolsMax || owner == seen) continue;
    if (*found && owner == (*found)->number) continue;
    seen = owner;
    const Result<std::vector<RegisteredPoolSlot>> slots = file.ReadSlots(owner, 1);
    if (!slots) return slots.status();
    const RegisteredPoolSlot& slot = (*slots)[0];
    if (IsWhole(slot) && PresenceOf(slot) != Presence::kGone) return std::optional(slot);
  }
  return std::optional<RegisteredPoolSlot>();
}

Result<bool> ReplaceWords(const RegistryFile& file, const GranuleSpan& span, GranuleWord from,
                          GranuleWord to) {
  bool replaced = false;
  MORSEL_TRY(ChangeWords(file, span, [&](uint64_t, GranuleWord& word) {
    if (word != from) return;
    word = to;
    replaced = true;
  }));
  return replaced;
}

Status SweepGone(const RegistryFile& file, const RegisteredPool* open) {
  // A device is not read, so that its being there says nothing.
  const auto is_formatted_over = [&](const RegisteredPoolSlot& slot) {
    return open != nullptr && open->is_device && slot.is_device != 0 && slot.path_bytes != 0 &&
           std::string_view(slot.path, slot.path_bytes) == open->path && slot.id != open->id;
  };
  const Result<std::vector<RegisteredPoolSlot>> slots = file.ReadSlots(1, kPoolsMax);
  if (!slots) return slots.status();
  // By number: who gets what the slot's pool has. Itself: it keeps it. 0: nobody.
  std::vector<GranuleWord> heirs(kPoolsMax + 1);
  std::map<Id, GranuleWord> there;
  for (GranuleWord number = 1; number <= kPoolsMax; ++number) {
    const RegisteredPoolSlot& slot = (*slots)[number - 1u];
    const bool is_gone =
        IsWhole(slot) && (is_formatted_over(slot) || PresenceOf(slot) == Presence::kGone);
    if (is_gone || IsFree(slot)) continue;
    heirs[number] = number;
    if (IsWhole(slot)) there[slot.id] = number;
  }
  std::vector<GranuleWord> gone;
  for (GranuleWord number = 1; number <= kPoolsMax; ++number) {
    const RegisteredPoolSlot& slot = (*slots)[number - 1u];
    if (heirs[number] == number || IsFree(slot)) continue;
    gone.push_back(number);
    const auto copy = there.find(slot.id);
    if (copy != there.end()) heirs[number] = copy->second;
  }
  MORSEL_TRY(ChangeWords(file, {0, kGranuleCount}, [&](uint64_t, GranuleWord& word) {
    const GranuleWord owner = OwnerOf(word);
    if (owner == 0 || owner > kPoolsMax || heirs[owner] == owner) return;
    word = static_cast<GranuleWord>(heirs[owner] == 0 ? 0 : heirs[owner] | (word & kSharedGranule));
  }));
  // ORDER  the words of a pool that is gone  <  its slot
  // WHY    the next pool in the slot must not begin with them.                      [REG-1]
  // CRASH  before the slot: the words are nobody's, or its own; it is swept again.
  // TEST   morsel/registry/pools_gone_test: APoolThatIsGoneGivesItsAddressesBack
  for (const GranuleWord number : gone) MORSEL_TRY(file.WriteSlot(number, {}));
  return Code::kOk;
}

}  // namespace morsel
