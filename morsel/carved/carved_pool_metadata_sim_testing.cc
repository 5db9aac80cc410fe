#include "morsel/carved/carved_pool_metadata_sim_testing.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "base/bits.h"
#include "base/check.h"
#include "base/checksum.h"
#include "base/error.h"
#include "morsel/carved/carved_pool_superblock.h"
#include "sim/stores/recorder.h"

namespace morsel {
namespace {

using Access = CarvedMetadata::Access;
using alloc::SubtreeRole;

/// Room for two giant subtrees, and a few of 2 MiB on either side of them.
constexpr uint64_t kSubtreesBefore = 3;
constexpr uint64_t kSubtreesBehind = 4;
constexpr uint64_t kGiants = 2;
constexpr uint64_t kSubtreeCount = kSubtreesBefore + kGiants * kSubtreesPerGiant + kSubtreesBehind;
constexpr uint64_t kDataOffset = kGiantBytes - kSubtreesBefore * kSubtreeBytes;
constexpr uint64_t kMediumBytes = kDataOffset + kSubtreeCount * kSubtreeBytes;
constexpr Window kWindow = {0x10000000000, 0x20000000000};
constexpr uint64_t kCapacityUnits = 4;
/// What the first incarnation finds.
constexpr uint64_t kFirstPool = 1;
constexpr uint64_t kFirstMorsel = 5;
/// In a morsel's state beside its size. The name has another length, in words, too.
constexpr uint64_t kOtherName = uint64_t{1} << 32;
constexpr uint64_t kOtherBase = uint64_t{1} << 33;
/// From one of a morsel's addresses to the other.
constexpr uint64_t kMoveBytes = 8 * kGiantBytes;
constexpr char kOtherNameBegins[] = "another name, with which is meant ";
/// The medium holds something that is not a pool.
constexpr uint64_t kUnknownPool = ~uint64_t{0};

enum Note : uint32_t {
  kMayBe,   ///< morsel, size, generation: what it may be from now on
  kIs,      ///< morsel, size, generation: what it is from now on
  kNew,     ///< pool: it is about to be made
  kPoolIs,  ///< pool, and 1 if the call that made it has returned, else 0
};

/// The layout of a pool, with fewer slots than PlanSuperblock() plans for this size, for speed.
PoolSuperblock PlanOf(uint64_t pool) {
  PoolSuperblock plan = *PlanSuperblock(kMediumBytes, kWindow, Id{static_cast<unsigned char>(pool)},
                                        "the simulated pool");
  plan.slot_count = kSlotsMin;
  plan.map_offset =
      AlignUp(plan.catalog_offset + plan.slot_count * sizeof(CatalogSlot), kPageBytes);
  plan.metadata_bytes = AlignUp(plan.map_offset + kSubtreeCount * sizeof(uint64_t), kPageBytes);
  plan.data_offset = kDataOffset;
  plan.subtree_count = kSubtreeCount;
  plan.checksum = 0;
  plan.checksum = Checksum64(&plan, sizeof plan);
  return plan;
}

const PoolSuperblock& AnyPlan() {
  static const PoolSuperblock plan = PlanOf(kFirstPool);
  return plan;
}

pmem::Persist Medium() { return sim::Recorder::Get().persist(); }

// The lowest bit of a morsel's number says which kind of subtrees it has.
bool IsGiant(uint64_t morsel) { return (morsel & 1) != 0; }
uint64_t UnitBytes(uint64_t morsel) { return IsGiant(morsel) ? kGiantBytes : kSubtreeBytes; }
std::string NameOfMorsel(uint64_t morsel) { return "m" + std::to_string(morsel); }
std::string OtherNameOfMorsel(uint64_t morsel) { return kOtherNameBegins + NameOfMorsel(morsel); }
uint64_t BaseOf(uint64_t morsel) { return kWindow.begin + morsel * 2 * kMoveBytes; }
uint64_t UnitsOf(uint64_t morsel, const CatalogRecord& found) {
  const uint64_t other_name = found.name == NameOfMorsel(morsel) ? 0 : kOtherName;
  const uint64_t other_base = found.base == BaseOf(morsel) ? 0 : kOtherBase;
  return found.size_bytes / UnitBytes(morsel) | other_name | other_base;
}
uint64_t LiveBytesOf(uint64_t generation) { return 3 * generation; }

CatalogRecord RecordOf(uint64_t morsel, uint64_t size_units) {
  CatalogRecord record;
  record.name = NameOfMorsel(morsel);
  record.id = Id{static_cast<unsigned char>(morsel), 0x4d};
  record.contract = Contract::kFine;
  record.giant = IsGiant(morsel);
  record.base = BaseOf(morsel);
  record.capacity_bytes = kCapacityUnits * UnitBytes(morsel);
  record.size_bytes = size_units * UnitBytes(morsel);
  return record;
}

// Returns the number of the morsel that was made with that record, if one was.
std::optional<uint64_t> MorselOf(const CatalogRecord& found) {
  const size_t number_at = found.name.rfind('m');
  if (number_at == std::string::npos) return std::nullopt;
  const uint64_t morsel = std::strtoull(found.name.c_str() + number_at + 1, nullptr, 10);
  const CatalogRecord made = RecordOf(morsel, 0);
  const bool has_a_name = found.name == made.name || found.name == OtherNameOfMorsel(morsel);
  const bool has_a_base = found.base == made.base || found.base == made.base + kMoveBytes;
  const bool same = has_a_name && has_a_base && found.id == made.id &&
                    found.contract == made.contract && found.giant == made.giant &&
                    found.capacity_bytes == made.capacity_bytes &&
                    found.live_bytes == LiveBytesOf(found.generation);
  return same ? std::optional(morsel) : std::nullopt;
}

// Returns the number of the pool on the medium, 0 if there is none, or kUnknownPool.
uint64_t PoolAt(const char* memory) {
  const auto found = ChooseSuperblock(memory, kMediumBytes, "the simulated pool");
  if (found) return (*found)->id[0];
  const bool none = *reinterpret_cast<const uint64_t*>(memory) == 0 &&
                    *reinterpret_cast<const uint64_t*>(memory + kSuperblockBytes) == 0;
  return none ? 0 : kUnknownPool;
}

std::string Told(std::pair<uint64_t, uint64_t> state) {
  if (state.first == 0) return "absent";
  const std::string name = (state.first & kOtherName) != 0 ? "another name, " : "";
  const std::string base = (state.first & kOtherBase) != 0 ? "another address, " : "";
  return name + base + std::to_string(state.first & ~(kOtherName | kOtherBase)) +
         " subtrees, generation " + std::to_string(state.second);
}

}  // namespace

MetadataTarget::MetadataTarget() : medium_(AnyPlan().metadata_bytes), memory_(medium_.base()) {}

MetadataTarget::~MetadataTarget() { sim::Recorder::Get().Watch({}); }

std::string MetadataTarget::NameOf(uint32_t operation) const {
  static const char* const kNames[] = {
      "create of 2 MiB", "create of 1 GiB", "grow",   "shrink", "remove", "replace",
      "checkpoint",      "rename",          "reopen", "move",   "format"};
  return kNames[operation];
}

std::vector<sim::Span> MetadataTarget::Memory() { return {{memory_, medium_.capacity_bytes()}}; }

// Makes a pool with a past: a morsel of 1 GiB is in it, and another one was removed.
void MetadataTarget::Prepare() {
  FormatPool(memory_, PlanOf(kFirstPool), pmem::VolatilePersist());
  if (std::string wrong = OpenAgain(); !wrong.empty()) Die("%s", wrong.c_str());
  sim::Log nobody;
  const uint64_t gone = Create(false, nobody);
  MORSEL_CHECK(Create(true, nobody) == kFirstMorsel);
  Remove(gone, nobody);
  metadata_->Close();
  Forget(true);
}

MetadataTarget::Due MetadataTarget::DueOf(const sim::Log& log) const {
  Due due;
  due.pools[kFirstPool][kFirstMorsel] = {{1, 0}};
  for (const sim::LogEntry& entry : log.entries()) {
    if (entry.kind != sim::LogEntry::Kind::kNoted) continue;
    const auto [first, second, third] = entry.words;
    if (entry.what == kNew) {
      due.pools[first] = due.pools[0] = {};
      due.formatted_in_part = true;
    } else if (entry.what == kPoolIs) {
      due.pools = {{first, due.pools[first]}};
      due.formatted_in_part &= second == 0;
    } else {
      // Morsels are not touched before it is known which pool is there.
      std::set<State>& states =
          due.pools.begin()->second.try_emplace(first, std::set<State>{{0, 0}}).first->second;
      if (entry.what == kIs) states.clear();
      states.insert({second, third});
    }
  }
  return due;
}

std::string MetadataTarget::OpenAgain() {
  const auto superblock = ChooseSuperblock(memory_, kMediumBytes, "the simulated pool");
  if (!superblock) return LastError();
  Result<std::unique_ptr<CarvedMetadata>> opened =
      CarvedMetadata::Open(memory_, *superblock, Medium(), Access::kWrite, "the simulated pool");
  if (!opened) return LastError();
  metadata_ = std::move(*opened);
  return {};
}

std::string MetadataTarget::CheckMorsels(CarvedMetadata& metadata, const Morsels& due,
                                         sim::Log* log) const {
  std::map<uint64_t, State> found;
  for (const SlotIndex slot : metadata.catalog().List()) {
    const CatalogRecord record = metadata.catalog().record(slot);
    const std::optional<uint64_t> morsel = MorselOf(record);
    if (!morsel) return "'" + record.name + "' is there, and not as any morsel was made";
    if (found.contains(*morsel)) return "'" + record.name + "' is there by two names";
    found[*morsel] = {UnitsOf(*morsel, record), record.generation};
    if (!due.contains(*morsel)) return "'" + record.name + "' is there, which was never made";
  }
  for (const auto& [morsel, states] : due) {
    const State is = found[morsel];
    if (!states.contains(is)) {
      return "'" + NameOfMorsel(morsel) + "' is " + Told(is) + "; due was " +
             Told(*states.begin()) + (states.size() > 1 ? ", or another" : "");
    }
    if (log != nullptr && states.size() > 1) log->Note(kIs, morsel, is.first, is.second);
  }
  return {};
}

// Each subtree belongs to one morsel or is free: if all that is free is granted, no subtree of it
// has an owner.
std::string MetadataTarget::CheckOwners(CarvedMetadata& metadata) const {
  const uint64_t free = metadata.map().free_count();  // map() has cleaned stale words
  std::vector<uint64_t> owners(kSubtreeCount, 0);
  uint64_t heads = 0;
  for (const SlotIndex slot : metadata.catalog().List()) {
    const CatalogRecord record = metadata.catalog().record(slot);
    const Result<std::vector<SubtreeIndex>> subtrees = metadata.Subtrees(slot);
    if (!subtrees) return LastError();
    const uint64_t unit = alloc::SubtreesOf(RoleOf(record));
    if (subtrees->size() * unit * kSubtreeBytes != record.size_bytes) {
      return "'" + record.name + "' has not as many subtrees as its size says";
    }
    heads += subtrees->size();
    for (const SubtreeIndex head : *subtrees) {
      for (uint64_t i = head.value(); i < head.value() + unit; ++i) {
        if (owners[i] != 0) return "subtree " + std::to_string(i) + " belongs to two morsels";
        owners[i] = slot.value() + 1;
      }
    }
  }
  const auto* const words =
      reinterpret_cast<const uint64_t*>(memory_ + metadata.superblock().map_offset);
  if (heads != kSubtreeCount - static_cast<uint64_t>(std::count(words, words + kSubtreeCount, 0))) {
    return "the subtree map keeps a word that is nobody's";
  }
  const Result<std::vector<SubtreeIndex>> left =
      metadata.Reserve(SubtreeRole::kHuge, free * kSubtreeBytes);
  if (!left) return LastError();
  for (const SubtreeIndex subtree : *left) {
    if (std::exchange(owners[subtree.value()], ~uint64_t{0}) == 0) continue;
    return "subtree " + std::to_string(subtree.value()) + " is granted, and somebody's already";
  }
  metadata.Cancel(SubtreeRole::kHuge, *left);
  if (std::find(owners.begin(), owners.end(), 0) == owners.end()) return {};
  return "a subtree is neither free nor anybody's";
}

// An open for reading sees the same in a copy.
std::string MetadataTarget::CheckReader(const Morsels& due) const {
  const auto superblock = ChooseSuperblock(memory_, kMediumBytes, "the simulated pool");
  const std::unique_ptr<char, decltype(&std::free)> copy(
      static_cast<char*>(std::aligned_alloc(kPageBytes, (*superblock)->metadata_bytes)),
      &std::free);
  std::memcpy(copy.get(), memory_, (*superblock)->metadata_bytes);
  const Result<std::unique_ptr<CarvedMetadata>> reader = CarvedMetadata::Open(
      copy.get(), *superblock, pmem::VolatilePersist(), Access::kRead, "the simulated pool");
  if (!reader) return std::string("to a reader: ") + LastError();
  if (std::string wrong = CheckMorsels(**reader, due, nullptr); !wrong.empty()) {
    return "to a reader: " + wrong;
  }
  if (!(*reader)->map().findings().empty()) return (*reader)->map().findings().front();
  return {};
}

std::string MetadataTarget::CheckAll(const Due& due, uint64_t pool, sim::Log* log) {
  const Morsels& morsels = due.pools.at(pool);
  if (std::string wrong = CheckMorsels(*metadata_, morsels, log); !wrong.empty()) return wrong;
  for (const std::string& message : metadata_->Validate()) {
    const bool superblock = message.ends_with("[POOL-1]");
    if (!superblock || !due.formatted_in_part) return message;
  }
  return CheckOwners(*metadata_);
}

std::string MetadataTarget::Recover(sim::Log& log) {
  const Due due = DueOf(log);
  live_.clear();
  complaint_.clear();
  pool_ = due.pools.rbegin()->first;
  morsels_ = kFirstMorsel / 2;
  const uint64_t pool = PoolAt(memory_);
  if (!due.pools.contains(pool)) {
    return pool == 0              ? "there is no pool"
           : pool == kUnknownPool ? "what is there is no pool"
                                  : "pool " + std::to_string(pool) + " is there";
  }
  if (pool == 0) return {};
  if (std::string wrong = CheckReader(due.pools.at(pool)); !wrong.empty()) return wrong;
  if (std::string wrong = OpenAgain(); !wrong.empty()) return wrong;
  if (due.pools.size() > 1) log.Note(kPoolIs, pool, 0);
  if (std::string wrong = CheckAll(due, pool, &log); !wrong.empty()) return wrong;
  for (const SlotIndex slot : metadata_->catalog().List()) {
    live_.push_back(*MorselOf(metadata_->catalog().record(slot)));
  }
  std::sort(live_.begin(), live_.end());
  for (const auto& [morsel, states] : due.pools.at(pool)) {
    morsels_ = std::max(morsels_, morsel / 2);
  }
  return {};
}

std::string MetadataTarget::Verify(const sim::Log& log) {
  if (!complaint_.empty()) return complaint_;
  if (metadata_ == nullptr) return {};
  const Due due = DueOf(log);
  return CheckAll(due, due.pools.begin()->first, nullptr);
}

SlotIndex MetadataTarget::SlotOf(uint64_t morsel) const {
  const Result<SlotIndex> slot = metadata_->catalog().Find(NameOfMorsel(morsel));
  return slot ? *slot : *metadata_->catalog().Find(OtherNameOfMorsel(morsel));
}

// Returns the number of the new morsel, or 0 if there is no room.
uint64_t MetadataTarget::Create(bool giant, sim::Log& log) {
  const uint64_t morsel = (morsels_ + 1) * 2 + (giant ? 1 : 0);
  const uint64_t units = giant ? 1 : 2;
  const CatalogRecord record = RecordOf(morsel, units);
  const Result<std::vector<SubtreeIndex>> subtrees =
      metadata_->Reserve(RoleOf(record), record.size_bytes);
  const Result<SlotIndex> slot = metadata_->catalog().FreeSlot();
  if (!subtrees || !slot) return 0;
  ++morsels_;
  log.Note(kMayBe, morsel, units, 0);
  metadata_->Create(*slot, record, *subtrees);
  log.Note(kIs, morsel, units, 0);
  live_.push_back(morsel);
  return morsel;
}

void MetadataTarget::Grow(uint64_t morsel, sim::Log& log) {
  const SlotIndex slot = SlotOf(morsel);
  const CatalogRecord record = metadata_->catalog().record(slot);
  if (record.size_bytes == record.capacity_bytes) return;
  const Result<std::vector<SubtreeIndex>> subtrees =
      metadata_->Reserve(RoleOf(record), UnitBytes(morsel));
  if (!subtrees) return;
  const uint64_t units = UnitsOf(morsel, record) + 1;
  log.Note(kMayBe, morsel, units, record.generation);
  metadata_->Grow(slot, *subtrees);
  log.Note(kIs, morsel, units, record.generation);
}

void MetadataTarget::Shrink(uint64_t morsel, sim::Log& log) {
  const SlotIndex slot = SlotOf(morsel);
  const CatalogRecord record = metadata_->catalog().record(slot);
  const uint64_t units = UnitsOf(morsel, record) - 1;
  if (record.size_bytes == UnitBytes(morsel)) return;
  log.Note(kMayBe, morsel, units, record.generation);
  (void)metadata_->Shrink(slot, record.size_bytes - UnitBytes(morsel));
  log.Note(kIs, morsel, units, record.generation);
}

void MetadataTarget::Remove(uint64_t morsel, sim::Log& log) {
  log.Note(kMayBe, morsel, 0, 0);
  (void)metadata_->Remove(SlotOf(morsel));
  log.Note(kIs, morsel, 0, 0);
  std::erase(live_, morsel);
}

void MetadataTarget::Checkpoint(uint64_t morsel, sim::Log& log) {
  const SlotIndex slot = SlotOf(morsel);
  const CatalogRecord record = metadata_->catalog().record(slot);
  const uint64_t generation = record.generation + 1;
  const uint64_t units = UnitsOf(morsel, record);
  log.Note(kMayBe, morsel, units, generation);
  metadata_->SetCheckpoint(slot, LiveBytesOf(generation), generation);
  log.Note(kIs, morsel, units, generation);
}

void MetadataTarget::Rename(uint64_t morsel, sim::Log& log) {
  const SlotIndex slot = SlotOf(morsel);
  const CatalogRecord record = metadata_->catalog().record(slot);
  const uint64_t units = UnitsOf(morsel, record) ^ kOtherName;
  log.Note(kMayBe, morsel, units, record.generation);
  metadata_->Rename(slot,
                    (units & kOtherName) != 0 ? OtherNameOfMorsel(morsel) : NameOfMorsel(morsel));
  log.Note(kIs, morsel, units, record.generation);
}

// As a move of the pool does it: what has the name is made anew in another slot, with subtrees of
// its own, and takes the name.
void MetadataTarget::Move(uint64_t morsel, sim::Log& log) {
  const SlotIndex slot = SlotOf(morsel);
  CatalogRecord record = metadata_->catalog().record(slot);
  const Result<std::vector<SubtreeIndex>> subtrees =
      metadata_->Reserve(RoleOf(record), record.size_bytes);
  const Result<SlotIndex> other_slot = metadata_->catalog().FreeSlot();
  if (!subtrees || !other_slot) return;
  record.base = record.base == BaseOf(morsel) ? BaseOf(morsel) + kMoveBytes : BaseOf(morsel);
  const uint64_t units = UnitsOf(morsel, record);
  log.Note(kMayBe, morsel, units, record.generation);
  (void)metadata_->Replace(slot, *other_slot, record, *subtrees);
  log.Note(kIs, morsel, units, record.generation);
}

void MetadataTarget::Format(sim::Log& log) {
  metadata_.reset();
  live_.clear();
  ++pool_;
  log.Note(kNew, pool_);
  FormatPool(memory_, PlanOf(pool_), Medium());
  log.Note(kPoolIs, pool_, 1);
  complaint_ = OpenAgain();
}

void MetadataTarget::Perform(uint32_t operation, sim::Log& log) {
  if (operation == kFormat) return Format(log);
  if (metadata_ == nullptr) return;
  switch (operation) {
    case kCreateHuge:
    case kCreateGiant:
      (void)Create(operation == kCreateGiant, log);
      return;
    case kReopen:
      metadata_->Close();
      complaint_ = OpenAgain();
      return;
    default:
      break;
  }
  if (live_.empty()) return;
  const uint64_t newest = live_.back();
  switch (operation) {
    case kGrow:
      return Grow(newest, log);
    case kShrink:
      return Shrink(newest, log);
    case kCheckpoint:
      return Checkpoint(newest, log);
    case kRename:
      return Rename(newest, log);
    case kMove:
      return Move(newest, log);
    case kRemove:
      return Remove(live_.front(), log);
    default:
      if (Create(IsGiant(newest), log) != 0) Remove(newest, log);
  }
}

// If there is no pool, every operation but formatting does nothing.
sim::Script MetadataTarget::GoOn(uint64_t pick) {
  switch (pick % 7) {
    case 6:
      return {{kMove, kReopen}};
    case 5:
      return {{kRename, kReopen}};
    case 0:
      return {{kRemove, kCreateGiant}};
    case 1:
      return {{kGrow, kShrink}};
    case 2:
      return {{kReplace, kCheckpoint}};
    case 3:
      return {{kReopen, kCreateHuge}};
    default:
      return {{kFormat, kCreateGiant}};
  }
}

void MetadataTarget::Forget(bool orderly) {
  if (!orderly) (void)metadata_.release();
  metadata_.reset();
}

}  // namespace morsel
