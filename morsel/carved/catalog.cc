#include "morsel/carved/catalog.h"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"
#include "base/checksum.h"
#include "base/error.h"

namespace morsel {
namespace {

using pmem::Store;

[[gnu::format(printf, 1, 2)]] std::string Message(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

uint64_t ChecksumOf(const SlotStatus& status) {
  return Checksum64(&status, offsetof(SlotStatus, checksum));
}

uint64_t ChecksumOf(const SlotIdentity& identity) {
  return Checksum64(&identity, offsetof(SlotIdentity, checksum));
}

bool IsZero(const SlotStatus& status) {
  constexpr SlotStatus kZero{};
  return std::memcmp(&status, &kZero, sizeof status) == 0;
}

uint64_t UnitBytes(uint32_t flags) { return flags & kSlotGiant ? kGiantBytes : kSubtreeBytes; }

// Copies word by word, so that every word reaches the medium whole or not at all.
void StoreWords(void* to, const void* from, size_t size_bytes) {
  auto* const words = static_cast<uint64_t*>(to);
  for (size_t i = 0; i < size_bytes / sizeof(uint64_t); ++i) {
    uint64_t value;
    std::memcpy(&value, static_cast<const char*>(from) + i * sizeof value, sizeof value);
    Store(words + i, value);
  }
}

std::string NameOf(const SlotIdentity& identity) {
  return std::string(identity.name, strnlen(identity.name, sizeof identity.name));
}

}  // namespace

void Catalog::Format() {
  const CatalogSlot empty{};
  for (uint64_t i = 0; i < slot_count_; ++i) StoreWords(slots_ + i, &empty, sizeof empty);
  persist_.Flush(slots_, slot_count_ * sizeof(CatalogSlot));
}

// Says how the slot breaks [POOL-4] or [POOL-5], in words that follow "slot N"; no value: it does
// not.
std::optional<std::string> Catalog::FaultOf(const CatalogSlot& slot) const {
  const SlotStatus& status = slot.status;
  if (IsZero(status)) return std::nullopt;
  if (status.checksum != ChecksumOf(status) ||
      (status.state != kSlotFree && status.state != kSlotLive)) {
    return "has a status of bad checksum [POOL-4]";
  }
  if (status.state == kSlotFree) return std::nullopt;
  const SlotIdentity& identity = slot.identity;
  if (identity.checksum != ChecksumOf(identity)) return "has an identity of bad checksum [POOL-5]";
  const uint64_t unit = UnitBytes(identity.flags);
  const size_t name_bytes = NameOf(identity).size();
  if (!IsPossibleName(NameOf(identity)) || name_bytes > kNameBytesMax ||
      (identity.flags & ~kSlotFlagsKnown) != 0) {
    return "has a name or flags that cannot be [POOL-5]";
  }
  if (!IsAligned(identity.capacity_bytes, unit) || identity.capacity_bytes == 0 ||
      identity.capacity_bytes >= window_.end || !IsAligned(identity.base, unit) ||
      identity.base < window_.begin ||
      !Within(identity.base, RangeBytes(identity.capacity_bytes), window_.end)) {
    return Message("has the range 0x%" PRIx64 " and %" PRIu64
                   " bytes, which cannot be in the pool's window [POOL-5]",
                   identity.base, identity.capacity_bytes);
  }
  if (!IsAligned(status.size_bytes, unit) || status.size_bytes > identity.capacity_bytes) {
    return Message("has the size %" PRIu64 ", which cannot be [POOL-5]", status.size_bytes);
  }
  if (status.generation >= kGenerationsEnd) {
    return Message("has the generation %" PRIu64 ", which cannot be [POOL-5]", status.generation);
  }
  return std::nullopt;
}

void Catalog::Load() {
  damaged_.assign(slot_count_, false);
  for (uint64_t i = 0; i < slot_count_; ++i) {
    const CatalogSlot& slot = slots_[i];
    std::optional<std::string> fault = FaultOf(slot);
    if (!fault && slot.status.state != kSlotLive) {
      free_.Add(i);
      continue;
    }
    if (!fault && !by_name_.emplace(NameOf(slot.identity), SlotIndex(i)).second) {
      fault = "has the name of another slot, '" + NameOf(slot.identity) + "' [POOL-6]";
    }
    if (!fault) continue;
    damaged_[i] = true;
    findings_.push_back(Message("slot %" PRIu64 " of the catalog %s", i, fault->c_str()));
  }
}

Result<SlotIndex> Catalog::Find(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return Fail(Code::kNotFound, "%s holds no morsel '%s'%s", subject_.c_str(), name.c_str(),
                findings_.empty() ? "; check the name, or create it"
                                  : ", or in a damaged slot: see 'morselctl check'");
  }
  return found->second;
}

CatalogRecord Catalog::record(SlotIndex slot) const {
  const SlotIdentity& identity = slots_[slot.value()].identity;
  const SlotStatus status = StatusOf(slot);
  CatalogRecord record;
  record.name = NameOf(identity);
  std::copy(std::begin(identity.id), std::end(identity.id), record.id.begin());
  record.contract = identity.flags & kSlotFine ? Contract::kFine : Contract::kSnapshot;
  record.grows = (identity.flags & kSlotGrows) != 0;
  record.giant = (identity.flags & kSlotGiant) != 0;
  record.mode = identity.mode;
  record.user = identity.user;
  record.group = identity.group;
  record.base = identity.base;
  record.capacity_bytes = identity.capacity_bytes;
  record.size_bytes = status.size_bytes;
  record.live_bytes = status.live_bytes;
  record.generation = status.generation;
  return record;
}

std::vector<SlotIndex> Catalog::List() const {
  std::vector<std::pair<std::string, SlotIndex>> named(by_name_.begin(), by_name_.end());
  std::sort(named.begin(), named.end());
  std::vector<SlotIndex> slots;
  for (const auto& [name, slot] : named) slots.push_back(slot);
  return slots;
}

std::vector<alloc::OwnerState> Catalog::Owners() const {
  std::vector<alloc::OwnerState> owners(slot_count_);
  for (const auto& [name, slot] : by_name_) {
    const CatalogSlot& at = slots_[slot.value()];
    owners[slot.value()] = {
        .is_live = true,
        .role =
            at.identity.flags & kSlotGiant ? alloc::SubtreeRole::kGiant : alloc::SubtreeRole::kHuge,
        .size_subtrees = at.status.size_bytes / kSubtreeBytes,
    };
  }
  for (uint64_t i = 0; i < slot_count_; ++i) owners[i].is_damaged = damaged_[i];
  return owners;
}

const TakenRanges& Catalog::Ranges() const {
  if (ranges_) return *ranges_;
  ranges_.emplace();
  for (const auto& [name, slot] : by_name_) {
    const SlotIdentity& identity = slots_[slot.value()].identity;
    ranges_->Add(identity.base, RangeBytes(identity.capacity_bytes));
  }
  return *ranges_;
}

uint64_t Catalog::size_bytes() const {
  uint64_t sum_bytes = 0;
  for (const auto& [name, slot] : by_name_) sum_bytes += slots_[slot.value()].status.size_bytes;
  return sum_bytes;
}

Result<SlotIndex> Catalog::FreeSlot() const {
  const uint64_t found = free_.First();
  if (found == NumberSet::kNone) {
    return Fail(Code::kNoSpace,
                "%s: all %" PRIu64
                " slots of its catalog are in use; remove a morsel, or make a "
                "larger pool",
                subject_.c_str(), slot_count_);
  }
  return SlotIndex(found);
}

SlotStatus Catalog::StatusOf(SlotIndex slot) const {
  SlotStatus status;
  std::memcpy(&status, &slots_[slot.value()].status, sizeof status);
  return status;
}

namespace {

constexpr size_t kStatusWords = 5;

// Adds the words of a slot's status to a record of the journal.
void AddStatus(SlotStatus* at, SlotStatus status, pmem::JournalWrite* writes) {
  status.checksum = ChecksumOf(status);
  writes[0] = {&at->state, status.state};
  writes[1] = {&at->size_bytes, status.size_bytes};
  writes[2] = {&at->live_bytes, status.live_bytes};
  writes[3] = {&at->generation, status.generation};
  writes[4] = {&at->checksum, status.checksum};
}

SlotStatus StatusOfNew(const CatalogRecord& record) {
  return {.state = kSlotLive,
          .size_bytes = record.size_bytes,
          .live_bytes = record.live_bytes,
          .generation = record.generation,
          .checksum = 0,
          .reserved = {}};
}

}  // namespace

void Catalog::CommitStatus(SlotIndex slot, SlotStatus status) {
  pmem::JournalWrite writes[kStatusWords];
  AddStatus(&slots_[slot.value()].status, status, writes);
  journal_->Commit(writes);
}

void Catalog::WriteIdentity(SlotIndex slot, const CatalogRecord& record) {
  MORSEL_CHECK(free_.Has(slot.value()) && record.name.size() <= kNameBytesMax);
  SlotIdentity identity{};
  std::memcpy(identity.name, record.name.data(), record.name.size());
  std::copy(record.id.begin(), record.id.end(), std::begin(identity.id));
  identity.base = record.base;
  identity.capacity_bytes = record.capacity_bytes;
  identity.flags = (record.contract == Contract::kFine ? kSlotFine : 0) |
                   (record.grows ? kSlotGrows : 0) | (record.giant ? kSlotGiant : 0);
  identity.mode = record.mode;
  identity.user = record.user;
  identity.group = record.group;
  identity.checksum = ChecksumOf(identity);
  SlotIdentity* const at = &slots_[slot.value()].identity;
  StoreWords(at, &identity, sizeof identity);
  // ORDER  the slot's identity  <  its state
  // WHY    a live slot is believed.                                                    [POOL-5]
  // CRASH  before: the slot is free, and nobody reads its identity. After: the morsel is there.
  // TEST   morsel/carved/catalog_test: CreationIsAllOrNothing  <- fails when the two are swapped
  persist_.Range(at, sizeof *at);
}

void Catalog::Insert(SlotIndex slot, const CatalogRecord& record) {
  WriteIdentity(slot, record);
  CommitStatus(slot, StatusOfNew(record));
  free_.Remove(slot.value());
  by_name_.emplace(record.name, slot);
  if (ranges_) ranges_->Add(record.base, RangeBytes(record.capacity_bytes));
}

void Catalog::Replace(SlotIndex replaced, SlotIndex slot, const CatalogRecord& record) {
  WriteIdentity(slot, record);
  const SlotIdentity& before = slots_[replaced.value()].identity;
  if (ranges_) ranges_->Remove(before.base, RangeBytes(before.capacity_bytes));
  // The two change as one record of the journal: never has the name two slots, or none.    [POOL-6]
  pmem::JournalWrite writes[2 * kStatusWords];
  AddStatus(&slots_[slot.value()].status, StatusOfNew(record), writes);
  AddStatus(&slots_[replaced.value()].status, {}, writes + kStatusWords);
  journal_->Commit(writes);
  free_.Remove(slot.value());
  by_name_.insert_or_assign(record.name, slot);
  if (ranges_) ranges_->Add(record.base, RangeBytes(record.capacity_bytes));
}

void Catalog::SetSize(SlotIndex slot, uint64_t size_bytes) {
  SlotStatus status = StatusOf(slot);
  status.size_bytes = size_bytes;
  CommitStatus(slot, status);
}

void Catalog::SetCheckpoint(SlotIndex slot, uint64_t live_bytes, uint64_t generation) {
  SlotStatus status = StatusOf(slot);
  status.live_bytes = live_bytes;
  status.generation = generation;
  CommitStatus(slot, status);
}

// The name and its checksum change as one journal entry: a live slot is believed.       [POOL-5]
void Catalog::Rename(SlotIndex slot, const std::string& name) {
  MORSEL_CHECK(name.size() <= kNameBytesMax && !by_name_.contains(name));
  SlotIdentity* const at = &slots_[slot.value()].identity;
  SlotIdentity identity = *at;
  by_name_.erase(NameOf(identity));
  std::memset(identity.name, 0, sizeof identity.name);
  std::memcpy(identity.name, name.data(), name.size());
  identity.checksum = ChecksumOf(identity);
  constexpr size_t kNameWords = sizeof identity.name / sizeof(uint64_t);
  static_assert(kNameWords * sizeof(uint64_t) == sizeof identity.name);
  static_assert(kNameWords + 1 <= pmem::JournalEntriesMax(pmem::kJournalBytes));
  pmem::JournalWrite writes[kNameWords + 1];
  auto* const words = reinterpret_cast<uint64_t*>(at->name);
  for (size_t i = 0; i < kNameWords; ++i) {
    writes[i].word = words + i;
    std::memcpy(&writes[i].value, identity.name + i * sizeof(uint64_t), sizeof(uint64_t));
  }
  writes[kNameWords] = {&at->checksum, identity.checksum};
  journal_->Commit(writes);
  by_name_.emplace(name, slot);
}

void Catalog::Remove(SlotIndex slot) {
  const SlotIdentity& identity = slots_[slot.value()].identity;
  by_name_.erase(NameOf(identity));
  if (ranges_) ranges_->Remove(identity.base, RangeBytes(identity.capacity_bytes));
  CommitStatus(slot, {});
}

void Catalog::Free(SlotIndex slot) { free_.Add(slot.value()); }

}  // namespace morsel
