#include "morsel/registry/pool_addresses.h"

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <climits>
#include <cstdlib>

#include "base/bits.h"
#include "morsel/registry/registry_layout.h"
#include "morsel/registry/registry_path.h"

namespace morsel {
namespace {

constexpr uint64_t kDefaultCapacityMin = 64 * kMiB;
constexpr uint64_t kPartOfFree = 1024;

}  // namespace

AddressSpan SpanOf(const CatalogRecord& record) {
  return {record.base, record.base + RangeBytes(record.capacity_bytes)};
}

uint64_t DefaultCapacityFor(uint64_t free_bytes) {
  const uint64_t part = std::bit_floor(free_bytes / kPartOfFree);
  return std::clamp(part, kDefaultCapacityMin, kDefaultCapacityBytes);
}

void PoolAddresses::Find(os::SystemCalls& calls, const Id& id, const std::string& path,
                         const Window& window) {
  pool_.id = id;
  pool_.window = window;
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
    const RegisteredPool& pool, const CatalogRecord& record, const std::string& label,
    const AddressRegistry::Accept& take_place) {
  std::optional<os::AddressRange> range;
  if (!registry_) return range;
  const uint64_t size_bytes = RangeBytes(record.capacity_bytes);
  const uint64_t alignment = AddressAlignment(record.capacity_bytes);
  const auto reserve = [&](uint64_t base) -> Result<std::optional<uint64_t>> {
    range.reset();
    const Result<std::optional<uint64_t>> next = take_place(base);
    if (!next || next->has_value()) return next;
    Result<os::AddressRange> reserved = os::AddressRange::Reserve(base, size_bytes, label);
    if (reserved) range = std::move(*reserved);
    if (reserved || reserved.error() != Code::kAddressTaken) {
      return reserved ? next : Result<std::optional<uint64_t>>(reserved.status());
    }
    return std::optional(base + alignment);
  };
  const Result<std::optional<uint64_t>> base =
      registry_->Take(pool, size_bytes, alignment, reserve);
  if (!base) return base.status();
  if (!*base) range.reset();
  return range;
}

void PoolAddresses::NoteName(const RegisteredPool& pool) {
  if (registry_) registry_->NoteName(pool);
}

void PoolAddresses::Claim(const AddressSpan& span) {
  if (registry_) registry_->Claim(pool_, span);
}

void PoolAddresses::GiveBack(const RegisteredPool& pool, const AddressSpan& span,
                             const PoolStamp& before) {
  if (registry_) registry_->GiveBack(pool, span, before);
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

uint64_t PoolAddresses::DefaultCapacityBytes() {
  if (!registry_) return kDefaultCapacityBytes;
  std::optional<uint64_t> free =
      registry_->FreeBytes(pool_.window, AddressRegistry::Gone::kAsKnown);
  // Nobody gets less because of pools that are gone. Whether any are is not asked each time.
  const bool is_less = free && DefaultCapacityFor(*free) < kDefaultCapacityBytes;
  if (is_less && *free < free_when_swept_ - free_when_swept_ / 8) {
    free = registry_->FreeBytes(pool_.window, AddressRegistry::Gone::kSwept);
    free_when_swept_ = free.value_or(free_when_swept_);
  }
  return free ? DefaultCapacityFor(*free) : kDefaultCapacityBytes;
}

}  // namespace morsel
