// Which addresses a directory pool's morsels have: what the host's registry knows, or the pool
// itself, where there is none.
#include <sys/stat.h>

#include <cinttypes>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "morsel/directory/directory_pool.h"
#include "morsel/pool/address_window.h"

namespace morsel {

RegisteredPool DirectoryPool::Registered(const AddressLock& lock) {
  RegisteredPool pool = addresses_.pool();
  pool.stamp = [this, &lock] {
    struct stat status;
    if (fstat(directory_.descriptor(), &status) != 0) return PoolStamp{};
    const timespec& changed = status.st_mtim;
    return PoolStamp{static_cast<uint64_t>(changed.tv_sec) * 1'000'000'000 +
                         static_cast<uint64_t>(changed.tv_nsec),
                     lock.NamesGiven()};
  };
  pool.list = [this]() -> Result<std::vector<AddressSpan>> {
    const Result<std::vector<CatalogRecord>> morsels = List();
    if (!morsels) return morsels.status();
    std::vector<AddressSpan> spans;
    for (const CatalogRecord& one : *morsels) spans.push_back(SpanOf(one));
    return spans;
  };
  pool.is_being_made = [this](const AddressSpan& span) {
    const KeepLastError keep;
    Result<AddressLock> other = AddressLock::Open(directory_);
    if (!other) return true;
    const auto locked = other->TryLock(span.begin, span.end - span.begin);
    return !locked || locked->has_value();
  };
  return pool;
}

namespace {

// Says of a window without room that somebody's locks are a reason, if they are.
Status WithLocksInTheWay(Status status, const std::optional<os::ByteSpan>& locked,
                         const AddressLock& lock) {
  if (status.code() != Code::kAddressExhausted || !locked) return status;
  return Fail(Code::kAddressExhausted,
              "%s. Another process has locked the bytes 0x%" PRIx64 "-0x%" PRIx64
              " of '%s', which stand for addresses: if it is making a morsel, try again when it "
              "has; if it is not, it has no business there (/proc/locks shows it)",
              LastError(), locked->begin, locked->end, lock.path().c_str());
}

}  // namespace

Result<std::optional<DirectoryPool::Place>> DirectoryPool::TakeRegistered(CatalogRecord& record,
                                                                          uint64_t moved_from,
                                                                          AddressLock& lock) {
  std::optional<os::ByteSpan> locked;
  const auto lock_place = [&](uint64_t base) -> Result<std::optional<uint64_t>> {
    lock.Unlock();
    const Result<std::optional<os::ByteSpan>> others =
        lock.TryLock(base, RangeBytes(record.capacity_bytes));
    if (!others) return others.status();
    if (others->has_value()) locked = **others;
    return others->has_value() ? std::optional((*others)->end) : std::optional<uint64_t>();
  };
  Result<std::optional<os::AddressRange>> range = addresses_.Take(
      Registered(lock), record, moved_from, LabelOf(record.name), lock_place, lock.registry());
  if (!range) return WithLocksInTheWay(range.status(), locked, lock);
  if (!*range) {
    lock.Unlock();
    return std::optional<Place>();
  }
  record.base = (*range)->base();
  return std::optional(Place{std::move(**range), std::move(lock)});
}

// ORDER  the addresses, locked  <  the pool, listed  <  the morsel's name  <  the lock given back
// WHY    another process may take the same addresses at the same time. It has published its morsel
//        before it gave up the lock, or it finds this one. The registry has listed the pool if no
//        name has been given since, which it looks at after the lock.                    [ADL-1]
// CRASH  no difference: the lock goes with the process, and without a name there is no morsel.
// TEST   morsel/directory/directory_sharing_test: AMorselThatIsBeingMadeHasItsAddresses
Result<DirectoryPool::Place> DirectoryPool::TakePlace(CatalogRecord& record, uint64_t moved_from) {
  Result<AddressLock> lock = AddressLock::Open(directory_);
  if (!lock) return lock.status();
  Result<std::optional<Place>> granted = TakeRegistered(record, moved_from, *lock);
  if (!granted) return granted.status();
  if (*granted) return std::move(**granted);
  const uint64_t size_bytes = RangeBytes(record.capacity_bytes);
  std::vector<os::ByteSpan> locked;
  TakenRanges taken;
  for (;;) {
    Result<os::AddressRange> range =
        ReserveNew(addresses_.window(), record.id, record.capacity_bytes, taken,
                   LabelOf(record.name), moved_from);
    if (!range) {
      const auto last = locked.empty() ? std::optional<os::ByteSpan>() : locked.back();
      return WithLocksInTheWay(range.status(), last, *lock);
    }
    const uint64_t base = range->base();
    const Result<std::optional<os::ByteSpan>> others = lock->TryLock(base, size_bytes);
    if (!others) return others.status();
    if (others->has_value()) {
      locked.push_back(**others);
      taken.Add(locked.back().begin, locked.back().end - locked.back().begin);
      continue;
    }
    const Result<std::vector<CatalogRecord>> morsels = List();
    if (!morsels) return morsels.status();
    taken = {};
    for (const CatalogRecord& one : *morsels) taken.Add(one.base, RangeBytes(one.capacity_bytes));
    if (taken.FirstFree(base, base + size_bytes, size_bytes, kSubtreeBytes) == base) {
      record.base = base;
      return Place{std::move(*range), std::move(*lock)};
    }
    for (const os::ByteSpan& span : locked) taken.Add(span.begin, span.end - span.begin);
    lock->Unlock();
  }
}

void DirectoryPool::GiveBackPlace(const AddressLock& lock, const CatalogRecord& record) {
  const KeepLastError keep;
  const RegisteredPool pool = Registered(lock);
  addresses_.GiveBack(pool, SpanOf(record), pool.stamp());
}

Result<AddressLock> DirectoryPool::LockPlaceOf(const CatalogRecord& record) {
  Result<AddressLock> lock = AddressLock::Open(directory_);
  if (!lock) return lock;
  const uint64_t end = record.base + RangeBytes(record.capacity_bytes);
  const Result<std::optional<os::ByteSpan>> others = lock->TryLock(record.base, end - record.base);
  if (!others) return others.status();
  if (!others->has_value()) return lock;
  return Fail(Code::kAddressTaken,
              "morsel '%s' cannot come into pool '%s': another process, or another thread of this "
              "one, is making a morsel there whose addresses 0x%" PRIx64 "-0x%" PRIx64
              " meet its own, 0x%" PRIx64 "-0x%" PRIx64 "; choose another pool",
              record.name.c_str(), path_.c_str(), (*others)->begin, (*others)->end, record.base,
              end);
}

// The directory may have the morsels of a pool whose file was lost, and has another id now.
void DirectoryPool::EnterRegistry() {
  const KeepLastError keep;
  if (!addresses_.has_registry()) return;
  const Result<AddressLock> lock = AddressLock::Open(directory_);
  if (lock) addresses_.Enter(Registered(*lock));
}

// A pool that has moved, or whose registry was lost, is entered with all that it has.
void DirectoryPool::ClaimAddresses(const CatalogRecord& record) {
  if (addresses_.Claim(SpanOf(record))) return;
  EnterRegistry();
  addresses_.Claim(SpanOf(record));
}

Status DirectoryPool::RemoveName(const std::string& name) {
  if (!addresses_.has_registry()) return directory_.Remove(name);
  std::optional<KeepLastError> keep(std::in_place);
  // One that is damaged has no addresses that could be given back.
  const Result<CatalogRecord> record = Find(name);
  const Result<AddressLock> lock = AddressLock::Open(directory_);
  const PoolStamp before = lock ? Registered(*lock).stamp() : PoolStamp{};
  keep.reset();
  MORSEL_TRY(directory_.Remove(name));
  if (record && lock) addresses_.GiveBack(Registered(*lock), SpanOf(*record), before);
  return Code::kOk;
}

}  // namespace morsel
