#include "morsel/registry/pool_addresses.h"

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <climits>
#include <cstdlib>

#include "base/bits.h"
#include "base/error.h"
#include "morsel/registry/registry_layout.h"
#include "morsel/registry/registry_path.h"

namespace morsel {
namespace {

constexpr uint64_t kPartOfFree = 1024;
// A default capacity holds until so large a part of what was free is taken.
constexpr uint64_t kHoldsForPart = 64;

}  // namespace

AddressSpan SpanOf(const CatalogRecord& record) {
  return {record.base, record.base + RangeBytes(record.capacity_bytes)};
}

uint64_t DefaultCapacityFor(const FreeAddresses& free) {
  const uint64_t part = std::bit_floor(free.bytes / kPartOfFree);
  uint64_t capacity = std::clamp(part, kDefaultCapacityMinBytes, kDefaultCapacityBytes);
  const auto fits = [&](uint64_t bytes) {
    const bool is_giant = AddressAlignment(bytes) >= kGiantBytes;
    return RangeBytes(bytes) <= (is_giant ? free.longest_giant_bytes : free.longest_bytes);
  };
  while (capacity > kDefaultCapacityMinBytes && !fits(capacity)) capacity /= 2;
  return capacity;
}

void PoolAddresses::Find(os::SystemCalls& calls, const Id& id, const std::string& path,
                         const Window& window) {
  pool_.id = id;
  pool_.window = {window.begin, std::min(window.end, AlignDown(kMappableEnd, kGranuleBytes))};
  const std::optional<RegistryPlace> place = FindRegistry();
  if (!place) return;
  // Not into memory of the C library's, which takes it by the program's malloc(3).
  std::string real_path(PATH_MAX, '\0');
  if (realpath(path.c_str(), real_path.data()) == nullptr) return;
  pool_.path = real_path.c_str();
  struct stat status;
  pool_.is_device = stat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode);
  registry_.emplace(calls, place->path);
  if (!place->window) return;
  const Window part = {std::max(window.begin, place->window->begin),
                       std::min(window.end, place->window->end)};
  if (part.begin < part.end) pool_.window = part;
}

Result<std::optional<os::AddressRange>> PoolAddresses::Take(
    const RegisteredPool& pool, const CatalogRecord& record, uint64_t moved_from,
    const std::string& label, const AddressRegistry::Accept& take_place,
    std::optional<RegistryFile>& opened) {
  std::optional<os::AddressRange> range;
  if (!registry_) return range;
  const uint64_t size_bytes = RangeBytes(record.capacity_bytes);
  std::string refused;  // why this process cannot have what the registry would have granted last
  const auto reserve = [&](uint64_t base) -> Result<std::optional<uint64_t>> {
    range.reset();
    const Result<std::optional<uint64_t>> next = take_place(base);
    if (!next || next->has_value()) return next;
    Result<os::AddressRange> reserved = os::AddressRange::Reserve(base, size_bytes, label);
    if (reserved) range = std::move(*reserved);
    if (reserved || reserved.error() != Code::kAddressTaken) {
      return reserved ? next : Result<std::optional<uint64_t>>(reserved.status());
    }
    refused = LastError();
    return std::optional(base + 1);
  };
  KeepLastError keep;
  const std::vector<BaseGrid> bases = BasesFor(record.capacity_bytes, moved_from);
  Result<std::optional<uint64_t>> base = Code::kAddressExhausted;
  for (const BaseGrid& grid : bases) {
    base = registry_->Take(pool, size_bytes, grid, reserve, opened);
    if (base || base.error() != Code::kAddressExhausted) break;
  }
  if (!base) keep.LetGo();
  default_holds_for_ -= static_cast<int64_t>(size_bytes);
  if (!base) default_bytes_ = 0;
  if (!base && base.error() == Code::kAddressExhausted && !refused.empty()) {
    return Fail(Code::kAddressExhausted, "%s. Of what no pool has, %s", LastError(),
                refused.c_str());
  }
  if (!base) return base.status();
  if (!*base) range.reset();
  return range;
}

void PoolAddresses::Enter(const RegisteredPool& pool) {
  if (registry_) registry_->Enter(pool);
}

void PoolAddresses::NoteName(const RegisteredPool& pool,
                             const std::optional<RegistryFile>& opened) {
  if (registry_) registry_->NoteName(pool, opened);
}

bool PoolAddresses::Claim(const AddressSpan& span) {
  return !registry_ || registry_->Claim(pool_, span);
}

void PoolAddresses::GiveBack(const RegisteredPool& pool, const AddressSpan& span,
                             const PoolStamp& before) {
  if (registry_) registry_->GiveBack(pool, span, before);
  default_bytes_ = 0;
}

void PoolAddresses::GiveBackAllBut(const RegisteredPool& pool, const AddressSpan& span,
                                   const AddressSpan& kept, const PoolStamp& before) {
  const uint64_t kept_begin = AlignDown(kept.begin, kGranuleBytes);
  const uint64_t kept_end = AlignUp(kept.end, kGranuleBytes);
  const AddressSpan below = {span.begin, std::min(span.end, kept_begin)};
  const AddressSpan above = {std::max(span.begin, kept_end), span.end};
  if (below.begin < below.end) GiveBack(pool, below, before);
  if (above.begin < above.end) GiveBack(pool, above, before);
}

Status PoolAddresses::CheckNotAnothers(const CatalogRecord& record) {
  if (!registry_) return Code::kOk;
  const AddressSpan span = SpanOf(record);
  const std::optional<std::string> path = registry_->AnotherHolder(pool_, span);
  if (!path) return Code::kOk;
  return Fail(Code::kAddressTaken,
              "morsel '%s' cannot be at 0x%" PRIx64
              ": pool '%s' of this host has some of the "
              "addresses up to 0x%" PRIx64 "; `morselctl addr` shows what is free",
              record.name.c_str(), span.begin, path->c_str(), span.end);
}

uint64_t PoolAddresses::DefaultCapacityBytes() {
  if (!registry_) return kDefaultCapacityBytes;
  const uint64_t known = default_bytes_;
  if (known != 0 && default_holds_for_ > 0) return known;
  std::optional<FreeAddresses> free =
      registry_->Free(pool_.window, AddressRegistry::Gone::kAsKnown);
  // Nobody gets less because of pools that are gone. Whether any are is not asked each time.
  const bool is_less = free && DefaultCapacityFor(*free) < kDefaultCapacityBytes;
  if (is_less && free->bytes < free_when_swept_ - free_when_swept_ / 8) {
    free = registry_->Free(pool_.window, AddressRegistry::Gone::kSwept);
    if (free) free_when_swept_ = free->bytes;
  }
  if (!free) return kDefaultCapacityBytes;
  default_holds_for_ = static_cast<int64_t>(free->bytes / kHoldsForPart);
  default_bytes_ = DefaultCapacityFor(*free);
  return default_bytes_;
}

}  // namespace morsel
