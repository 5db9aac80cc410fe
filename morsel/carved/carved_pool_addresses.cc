// Which addresses a carved pool's morsels have: what the host's registry knows, and the pool's own
// catalog.
#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "base/random.h"
#include "base/units.h"
#include "morsel/carved/carved_pool.h"
#include "morsel/pool/address_window.h"

namespace morsel {

void CarvedPool::FindAddresses() {
  Id id;
  std::copy(std::begin(superblock().id), std::end(superblock().id), id.begin());
  addresses_.Find(medium_->file().calls(), id, path_,
                  {superblock().window_begin, superblock().window_end});
  // Another process may have written the pool since: the first to ask lists it.
  if (const Result<Id> random = RandomId(); random) {
    stamp_.changed_ns = Checksum64(random->data(), random->size());
  }
}

RegisteredPool CarvedPool::Registered() {
  RegisteredPool pool = addresses_.pool();
  pool.stamp = [this] { return stamp_; };
  pool.list = [this]() -> Result<std::vector<AddressSpan>> {
    std::vector<AddressSpan> spans;
    const Catalog& catalog = medium_->metadata().catalog();
    for (const SlotIndex slot : catalog.List()) spans.push_back(SpanOf(catalog.record(slot)));
    for (const CatalogRecord& one : claims_) spans.push_back(SpanOf(one));
    return spans;
  };
  pool.is_being_made = [](const AddressSpan&) { return false; };
  return pool;
}

Result<os::AddressRange> CarvedPool::TakeRange(const CatalogRecord& record, uint64_t moved_from) {
  // Who makes one morsel at a time need not wait for a copy of all ranges.
  const TakenRanges with_claims = claims_.empty() ? TakenRanges() : Taken();
  const TakenRanges& taken = claims_.empty() ? medium_->metadata().catalog().Ranges() : with_claims;
  const uint64_t size_bytes = RangeBytes(record.capacity_bytes);
  const auto is_free = [&](uint64_t base) -> Result<std::optional<uint64_t>> {
    const auto free = taken.FirstFree(base, base + size_bytes, size_bytes, kSubtreeBytes);
    return free == base ? std::optional<uint64_t>() : std::optional(base + 1);
  };
  std::optional<RegistryFile> opened;
  Result<std::optional<os::AddressRange>> range =
      addresses_.Take(Registered(), record, moved_from, SubjectOf(record.name), is_free, opened);
  if (!range) return range.status();
  if (*range) return std::move(**range);
  return ReserveNew(addresses_.window(), record.id, record.capacity_bytes, taken,
                    SubjectOf(record.name), moved_from);
}

// A pool that has moved, or whose registry was lost, is entered with all that it has.
void CarvedPool::ClaimAddresses(const CatalogRecord& record) {
  if (addresses_.Claim(SpanOf(record))) return;
  addresses_.Enter(Registered());
  addresses_.Claim(SpanOf(record));
}

void CarvedPool::NoteName() {
  ++stamp_.names_given;
  addresses_.NoteName(Registered(), {});
}

}  // namespace morsel
