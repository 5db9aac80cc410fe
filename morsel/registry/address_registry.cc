#include "morsel/registry/address_registry.h"

#include <algorithm>
#include <cinttypes>

#include "base/bits.h"
#include "base/error.h"
#include "morsel/registry/granted.h"

namespace morsel {
namespace {

// How often a pool is listed again because names were given in it meanwhile.
constexpr int kListsMax = 16;

PoolStamp StampIn(const RegisteredPoolSlot& slot) { return {slot.changed_ns, slot.names_given}; }

// Searches from `from` on to the window's end, and then from its begin.
Result<std::optional<uint64_t>> Search(const RegistryFile& file, const Window& window,
                                       uint64_t from, uint64_t size_bytes, const BaseGrid& grid,
                                       const AddressRegistry::Accept& take_place) {
  from = std::clamp(from, window.begin, window.end);
  const struct {
    uint64_t begin, end;
  } parts[] = {{from, window.end}, {window.begin, std::min(from + size_bytes, window.end)}};
  for (const auto& part : parts) {
    for (uint64_t at = part.begin;;) {
      const Result<std::optional<uint64_t>> base = FirstFree(file, at, part.end, size_bytes, grid);
      if (!base || !*base) {
        if (!base) return base;
        break;
      }
      const Result<std::optional<uint64_t>> next = take_place(**base);
      if (!next) return next.status();
      if (!next->has_value()) return base;
      at = std::max(**next, **base + grid.step);
    }
  }
  return std::optional<uint64_t>();
}

// Sets the words of a new morsel, and where the next one is searched for.
Status Grant(const RegistryFile& file, FoundSlot found, const AddressSpan& span) {
  const GranuleSpan granules = GranulesOf(span);
  const std::vector<GranuleWord> words(granules.end - granules.begin, found.number);
  MORSEL_TRY(file.WriteWords(granules.begin, words));
  found.slot.next_granule = granules.end;
  MORSEL_TRY(file.WriteSlot(found.number, found.slot));
  // ORDER  the words, synced  <  the morsel's name
  // WHY    the next pool takes for free what has no word.                           [REG-2]
  // CRASH  before: the words are nobody's, and given back when the pool is listed.
  // TEST   morsel/registry/address_registry_test: WordsAreDurableBeforeTheMorselIsMade
  return file.Sync();
}

Status Exhausted(const Window& window, uint64_t size_bytes) {
  return Fail(Code::kAddressExhausted,
              "the address window 0x%" PRIx64 "-0x%" PRIx64 " has no room for %" PRIu64
              " bytes of capacity beside the other pools of this host; ask for less, or remove "
              "morsels; morselctl addr shows which pools have which addresses",
              window.begin, window.end, size_bytes);
}

}  // namespace

std::optional<RegistryFile> AddressRegistry::TryOpen() const {
  const KeepLastError keep;
  Result<RegistryFile> file = RegistryFile::OpenLocked(*calls_, path_);
  if (!file) return std::nullopt;
  return std::move(*file);
}

Result<std::optional<uint64_t>> AddressRegistry::Take(const RegisteredPool& pool,
                                                      uint64_t size_bytes, const BaseGrid& grid,
                                                      const Accept& take_place,
                                                      std::optional<RegistryFile>& opened) {
  const std::optional<uint64_t> none;
  std::optional<std::vector<AddressSpan>> listed;
  PoolStamp stamp;
  for (int lists = 0; lists < kListsMax; ++lists) {
    std::optional<RegistryFile> file = TryOpen();
    if (!file) return none;
    KeepLastError keep;
    Result<std::optional<FoundSlot>> found = FindSlot(*file, pool);
    if (!found) return none;
    const PoolStamp now = pool.stamp();
    if (listed && now == stamp) {
      const Result<FoundSlot> learned = Learn(*file, pool, stamp, *listed);
      if (!learned) return none;
      *found = *learned;
    } else if (!*found || StampIn((*found)->slot) != now) {
      // Others need not wait while the pool is listed.
      file.reset();
      stamp = now;
      keep.LetGo();
      Result<std::vector<AddressSpan>> spans = pool.list();
      if (!spans) return spans.status();
      listed = std::move(*spans);
      continue;
    }
    const uint64_t from = (*found)->slot.next_granule * kGranuleBytes;
    Result<std::optional<uint64_t>> base =
        Search(*file, pool.window, from, size_bytes, grid, take_place);
    if (base && !*base && SweepGone(*file, &pool).ok()) {
      base = Search(*file, pool.window, from, size_bytes, grid, take_place);
    }
    if (!base || !*base) {
      keep.LetGo();
      return base ? Exhausted(pool.window, size_bytes) : base.status();
    }
    // A name that somebody else has given until now, before `take_place` locked the addresses.
    if (pool.stamp() != now) continue;
    if (!Grant(*file, **found, {**base, **base + size_bytes}).ok()) return none;
    file->Unlock();
    opened = std::move(file);
    return base;
  }
  return none;
}

void AddressRegistry::Enter(const RegisteredPool& pool) {
  const KeepLastError keep;
  // Names that are given meanwhile change the stamp: the pool is listed again then.
  const PoolStamp stamp = pool.stamp();
  const Result<std::vector<AddressSpan>> spans = pool.list();
  if (!spans || spans->empty()) return;
  const std::optional<RegistryFile> file = TryOpen();
  if (file && Learn(*file, pool, stamp, *spans)) (void)file->Sync();
}

// Calls change(file, found) if there is a registry and the pool has a slot in it.
template <class Change>
void AddressRegistry::WithSlotOf(const RegisteredPool& pool, const Change& change) const {
  if (const std::optional<RegistryFile> file = TryOpen()) ChangeSlot(*file, pool, change);
}

template <class Change>
void AddressRegistry::ChangeSlot(const RegistryFile& file, const RegisteredPool& pool,
                                 const Change& change) {
  const KeepLastError keep;
  const Result<std::optional<FoundSlot>> found = FindSlot(file, pool);
  if (found && *found) change(file, **found);
}

void AddressRegistry::NoteName(const RegisteredPool& pool,
                               const std::optional<RegistryFile>& opened) {
  const auto note = [&](const RegistryFile& file, FoundSlot found) {
    ++found.slot.names_given;
    found.slot.changed_ns = pool.stamp().changed_ns;
    (void)file.WriteSlot(found.number, found.slot);
  };
  const KeepLastError keep;
  if (!opened || !opened->LockAgain().ok()) return WithSlotOf(pool, note);
  ChangeSlot(*opened, pool, note);
  opened->Unlock();
}

bool AddressRegistry::Claim(const RegisteredPool& pool, const AddressSpan& span) {
  const std::optional<RegistryFile> file = TryOpen();
  if (!file) return true;
  bool is_known = false;
  ChangeSlot(*file, pool, [&](const RegistryFile& registry, const FoundSlot& found) {
    is_known = true;
    const Result<bool> claimed = ReplaceWords(registry, GranulesOf(span), 0, found.number);
    if (claimed && *claimed) (void)registry.Sync();
  });
  return is_known;
}

void AddressRegistry::GiveBack(const RegisteredPool& pool, const AddressSpan& span,
                               const PoolStamp& before) {
  WithSlotOf(pool, [&](const RegistryFile& file, FoundSlot found) {
    const GranuleSpan granules = GranulesOf(span);
    if (!ReplaceWords(file, granules, found.number, 0)) return;
    RegisteredPoolSlot& slot = found.slot;
    if (granules.begin < slot.next_granule) slot.next_granule = granules.begin;
    if (StampIn(slot) == before) slot.changed_ns = pool.stamp().changed_ns;
    (void)file.WriteSlot(found.number, slot);
  });
}

std::optional<std::string> AddressRegistry::AnotherHolder(const RegisteredPool& pool,
                                                          const AddressSpan& span) {
  const std::optional<RegistryFile> file = TryOpen();
  if (!file) return std::nullopt;
  const KeepLastError keep;
  const Result<std::optional<RegisteredPoolSlot>> slot = morsel::AnotherHolder(*file, pool, span);
  if (!slot || !*slot) return std::nullopt;
  return std::string((*slot)->path, (*slot)->path_bytes);
}

std::optional<FreeAddresses> AddressRegistry::Free(const Window& window, Gone gone) {
  const std::optional<RegistryFile> file = TryOpen();
  if (!file) return std::nullopt;
  const KeepLastError keep;
  if (gone == Gone::kSwept) (void)SweepGone(*file, nullptr);
  const Result<FreeAddresses> free = CountFree(*file, window);
  return free ? std::optional(*free) : std::nullopt;
}

Result<std::vector<AddressRegistry::Holder>> AddressRegistry::Holders() {
  const Result<RegistryFile> file = RegistryFile::OpenLocked(*calls_, path_);
  if (!file) return file.status();
  MORSEL_TRY(SweepGone(*file, nullptr));
  const Result<std::vector<RegisteredPoolSlot>> slots = file->ReadSlots(1, kPoolsMax);
  if (!slots) return slots.status();
  const Result<std::vector<GranuleWord>> words = file->ReadWords(0, kGranuleCount);
  if (!words) return words.status();
  std::vector<std::vector<AddressSpan>> spans(kPoolsMax + 1);
  for (uint64_t at = 0; at < words->size(); ++at) {
    const GranuleWord owner = OwnerOf((*words)[at]);
    if (owner == 0 || owner > kPoolsMax) continue;
    const uint64_t begin = at * kGranuleBytes;
    std::vector<AddressSpan>& own = spans[owner];
    if (!own.empty() && own.back().end == begin) {
      own.back().end += kGranuleBytes;
    } else {
      own.push_back({begin, begin + kGranuleBytes});
    }
  }
  std::vector<Holder> holders;
  for (uint64_t number = 1; number <= kPoolsMax; ++number) {
    const RegisteredPoolSlot& slot = (*slots)[number - 1];
    if (!IsWhole(slot)) continue;
    holders.push_back(
        {std::string(slot.path, slot.path_bytes), PresenceOf(slot), std::move(spans[number])});
  }
  return holders;
}

}  // namespace morsel
