#include "morsel/open/carved_pool_sim_testing.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "alloc/heap/threads/end_of_thread.h"
#include "base/bits.h"
#include "base/check.h"
#include "base/error.h"
#include "morsel/carved/carved_pool_superblock.h"
#include "sim/stores/recorder.h"

namespace morsel {
namespace {

using alloc::kUnitBytes;

constexpr uint64_t kSmallSubtrees = 6;
/// What is watched of each subtree: the heap's first bytes, some slabs, an extent's first bytes.
constexpr uint64_t kWatchedBytes = 5 * kUnitBytes;
/// The map of a giant morsel's first region lies before its first slab.
constexpr uint64_t kWatchedGiantBytes = 8 * kUnitBytes;
constexpr uint64_t kCapacityUnits = 3;
/// What the first incarnation finds: two subtrees, and object 1 in the second of them.
constexpr uint64_t kFirstMorsel = 2;
constexpr char kRoot[] = "root";
/// Two units, so that it is an extent.
constexpr uint64_t kFarBytes = 100'000;

enum Note : uint32_t {
  kMayBe,    ///< morsel, size, the root's object: what it may be from now on
  kIs,       ///< morsel, size, the root's object: what it is from now on
  kWritten,  ///< morsel, subtree: something is about to be stored there
};

/// What a root leads to.
struct Object {
  uint64_t serial;
  uint64_t size_bytes;
  uint64_t check;    ///< CheckOf(serial, size_bytes)
  uint64_t changes;  ///< how often it was changed since it was made
};
constexpr uint64_t kChangesMax = 1000;
// What the log remembers of an object.
uint64_t SaysOf(const Object& object) { return object.serial * kChangesMax + object.changes; }
uint64_t CheckOf(const Object& object) { return (object.serial ^ 0x5eed) * object.size_bytes; }

uint64_t PoolBytes(CarvedPoolTarget::Pool pool) {
  return pool == CarvedPoolTarget::Pool::kSmall ? (1 + kSmallSubtrees) * kSubtreeBytes
                                                : 2 * kGiantBytes;
}

// The lowest bit of a morsel's number says which kind of subtrees it has, the next bit whether it
// grows by itself.
bool IsGiant(uint64_t morsel) { return (morsel & 1) != 0; }
bool Grows(uint64_t morsel) { return (morsel & 2) != 0; }
uint64_t UnitBytes(uint64_t morsel) { return IsGiant(morsel) ? kGiantBytes : kSubtreeBytes; }
uint64_t WatchedBytes(uint64_t morsel) {
  return IsGiant(morsel) ? kWatchedGiantBytes : kWatchedBytes;
}
std::string NameOfMorsel(uint64_t morsel) { return "m" + std::to_string(morsel); }

morsel_options OptionsOf(uint64_t morsel) {
  morsel_options options{};
  options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_FINE;
  if (IsGiant(morsel)) options.flags |= MORSEL_GIANT;
  options.size_bytes = Grows(morsel) ? 0 : UnitBytes(morsel);
  options.capacity_bytes = IsGiant(morsel) ? kGiantBytes : kCapacityUnits * kSubtreeBytes;
  return options;
}

bool AllZero(const char* begin, uint64_t size_bytes) {
  return begin[0] == 0 && std::memcmp(begin, begin + 1, size_bytes - 1) == 0;
}

std::string Told(std::pair<uint64_t, uint64_t> state) {
  if (state.first == 0) return "absent";
  return std::to_string(state.first) + " subtrees, with root " + std::to_string(state.second);
}

pmem::Persist Medium() { return sim::Recorder::Get().persist(); }

}  // namespace

std::string CarvedPoolTarget::NameOf(uint32_t operation) const {
  static const char* const kNames[] = {"create",     "grow",     "shrink",          "remove",
                                       "replace",    "set root", "set far root",    "forget root",
                                       "checkpoint", "reopen",   "create of 1 GiB", "import"};
  return kNames[operation];
}

// Makes a pool with a past: a morsel with a root is in it, and another one was removed.
void CarvedPoolTarget::Prepare() {
  ids_.emplace(1);
  const morsel_pool_options options = {sizeof options, MORSEL_CREATE | MORSEL_CARVED, 0, 0,
                                       PoolBytes(kind_)};
  Result<std::unique_ptr<OpenPool>> pool = OpenPool::Open(path_.c_str(), &options, space_);
  if (!pool) Die("the simulated pool: %s", LastError());
  pool_ = std::move(*pool);
  sim::Log nobody;
  Create(false, nobody);
  SetRoot(kFirstMorsel, true, nobody);
  Create(false, nobody);
  Remove(open_.rbegin()->first, nobody);
  unlink(image_.c_str());
  Must(pool_->Export(NameOfMorsel(kFirstMorsel).c_str(), image_.c_str()).ok(), "export");
  if (!complaint_.empty()) Die("%s", complaint_.c_str());
  Forget(true);

  const PoolSuperblock plan =
      *PlanSuperblock(PoolBytes(kind_), {kGiantBytes, 2 * kGiantBytes}, Id{}, "");
  std::vector<sim::FilePart> parts = {{0, plan.metadata_bytes}};
  for (uint64_t i = 0; i < std::min(kSmallSubtrees, plan.subtree_count); ++i) {
    parts.push_back({plan.data_offset + i * kSubtreeBytes, kWatchedBytes});
  }
  if (kind_ == Pool::kWithGiant) parts.push_back({kGiantBytes, kWatchedGiantBytes});
  file_ = std::make_unique<sim::WatchedFile>(path_, std::move(parts));
  space_.Watch(*file_);
}

CarvedPoolTarget::Due CarvedPoolTarget::DueOf(const sim::Log& log) const {
  Due due;
  due.morsels[kFirstMorsel] = {{2, kChangesMax}};
  due.written = {{kFirstMorsel, 0}, {kFirstMorsel, 1}};
  for (const sim::LogEntry& entry : log.entries()) {
    if (entry.kind != sim::LogEntry::Kind::kNoted) continue;
    const auto [morsel, second, third] = entry.words;
    if (entry.what == kWritten) {
      due.written.insert({morsel, second});
      continue;
    }
    std::set<State>& states =
        due.morsels.try_emplace(morsel, std::set<State>{{0, 0}}).first->second;
    if (entry.what == kIs) states.clear();
    states.insert({second, third});
  }
  return due;
}

std::string CarvedPoolTarget::OpenAll() {
  Result<std::unique_ptr<OpenPool>> pool = OpenPool::Open(path_.c_str(), nullptr, space_);
  if (!pool) return std::string("the pool does not open: ") + LastError();
  pool_ = std::move(*pool);
  std::vector<std::string> names;
  const Status listed = pool_->List(
      [](const morsel_info* info, void* context) {
        static_cast<std::vector<std::string>*>(context)->push_back(info->name);
        return 0;
      },
      &names);
  if (!listed.ok()) return LastError();
  for (const std::string& name : names) {
    const Result<OpenMorsel*> morsel = pool_->OpenMorselNamed(name.c_str(), nullptr);
    if (!morsel) return std::string("a morsel does not open: ") + LastError();
    open_[std::strtoull(name.c_str() + 1, nullptr, 10)] = *morsel;
  }
  return {};
}

std::string CarvedPoolTarget::Validate() {
  std::string found;
  const Status checked = pool_->pool().Check([&](const Finding& finding) {
    if (found.empty()) found = finding.subject + ": " + finding.message;
  });
  if (!checked.ok()) return LastError();
  for (const auto& [number, morsel] : open_) {
    morsel->heap().Validate([&, name = NameOfMorsel(number)](const std::string& message) {
      if (found.empty()) found = name + ": " + message;
    });
  }
  return found;
}

// Checks the object that the root leads to, and tells in `says` what it says (0: there is no root).
std::string CarvedPoolTarget::CheckObject(OpenMorsel& morsel, uint64_t* says) const {
  *says = 0;
  const Result<void*> root = morsel.Root(kRoot);
  if (!root) return root.error() == Code::kNotFound ? "" : LastError();
  const Object& object = *static_cast<const Object*>(*root);
  const Result<bool> live = morsel.heap().IsLive(*root);
  if (!live || !*live) return "the root of " + morsel.label() + " leads to what is not allocated";
  *says = SaysOf(object);
  if (object.check == CheckOf(object) && morsel.heap().UsableBytes(*root) >= object.size_bytes) {
    return {};
  }
  return "the root of " + morsel.label() + " leads to an object that has lost its bytes";
}

// Checks that memory that nobody has written to is zero.
std::string CarvedPoolTarget::CheckZeroes(uint64_t morsel, const Due& due) const {
  const CatalogRecord& record = open_.at(morsel)->record();
  for (uint64_t subtree = 0; subtree < record.size_bytes / UnitBytes(morsel); ++subtree) {
    if (due.written.contains({morsel, subtree})) continue;
    const uint64_t watched = WatchedBytes(morsel);
    const alloc::HeapGeometry heap = alloc::GeometryOf(record.capacity_bytes, 0);
    const uint64_t heap_bytes = subtree > 0 ? 0 : heap.first_unit.value() * kUnitBytes;
    const char* const begin = reinterpret_cast<const char*>(record.base) + subtree * kSubtreeBytes;
    if (AllZero(begin + heap_bytes, watched - heap_bytes)) continue;
    return "subtree " + std::to_string(subtree) + " of '" + record.name +
           "' is not zero, and nobody has written to it";
  }
  return {};
}

CarvedPoolTarget::State CarvedPoolTarget::StateOf(uint64_t morsel) const {
  OpenMorsel& open = *open_.at(morsel);
  uint64_t says = 0;
  (void)CheckObject(open, &says);
  return {open.record().size_bytes / UnitBytes(morsel), says};
}

std::string CarvedPoolTarget::CheckAll(const Due& due, sim::Log* log) {
  if (std::string wrong = Validate(); !wrong.empty()) return wrong;
  for (const auto& [number, morsel] : open_) {
    if (!due.morsels.contains(number)) return morsel->label() + " is there, which was never made";
    const CatalogRecord& record = morsel->record();
    if (record.giant != IsGiant(number) || record.grows != Grows(number) ||
        record.contract != Contract::kFine) {
      return morsel->label() + " is not as it was made";
    }
    uint64_t says = 0;
    if (std::string wrong = CheckObject(*morsel, &says); !wrong.empty()) return wrong;
    // What recovery finds may be built upon only once it is durable.
    if (log != nullptr && says != 0) Medium().Range(*morsel->Root(kRoot), sizeof(Object));
    if (std::string wrong = CheckZeroes(number, due); !wrong.empty()) return wrong;
  }
  for (const auto& [number, states] : due.morsels) {
    const State is = open_.contains(number) ? StateOf(number) : State(0, 0);
    if (!states.contains(is)) {
      return "'" + NameOfMorsel(number) + "' is " + Told(is) + "; due was " +
             Told(*states.begin()) + (states.size() > 1 ? ", or another" : "");
    }
    if (log != nullptr && states.size() > 1) log->Note(kIs, number, is.first, is.second);
  }
  return {};
}

std::string CarvedPoolTarget::Recover(sim::Log& log) {
  const Due due = DueOf(log);
  complaint_.clear();
  morsels_ = kFirstMorsel / 2 + 1;
  objects_ = 1;
  for (const auto& [number, states] : due.morsels) {
    morsels_ = std::max(morsels_, number / 2);
    for (const State& state : states) objects_ = std::max(objects_, state.second / kChangesMax);
  }
  for (const sim::LogEntry& entry : log.entries()) {
    objects_ = std::max(objects_, entry.words[2] / kChangesMax);
  }
  if (std::string wrong = OpenAll(); !wrong.empty()) return wrong;
  return CheckAll(due, &log);
}

std::string CarvedPoolTarget::Verify(const sim::Log& log) {
  return complaint_.empty() ? CheckAll(DueOf(log), nullptr) : complaint_;
}

void CarvedPoolTarget::Must(bool done, const char* what) {
  if (!done && complaint_.empty()) complaint_ = std::string(what) + ": " + LastError();
}

void CarvedPoolTarget::Create(bool giant, sim::Log& log) {
  const uint64_t number = (morsels_ + 1) * 2 + (giant ? 1 : 0);
  ids_.emplace(number);  // each morsel has an id of its own, whatever incarnation makes it
  const morsel_options options = OptionsOf(number);
  log.Note(kMayBe, number, 1, 0);
  const Result<OpenMorsel*> made = pool_->OpenMorselNamed(NameOfMorsel(number).c_str(), &options);
  log.Note(kIs, number, made ? 1 : 0, 0);
  ++morsels_;
  Must(made || made.error() == Code::kNoSpace, "create");
  if (made) open_[number] = *made;
}

void CarvedPoolTarget::Import(sim::Log& log) {
  if (open_.contains(kFirstMorsel)) return;
  log.Note(kMayBe, kFirstMorsel, 2, kChangesMax);
  const std::string name = NameOfMorsel(kFirstMorsel);
  const Status done = pool_->Import(image_.c_str(), name.c_str(), {}).status();
  log.Note(kIs, kFirstMorsel, done.ok() ? 2 : 0, done.ok() ? kChangesMax : 0);
  Must(done.ok() || done.code() == Code::kNoSpace, "import");
  if (!done.ok()) return;
  const Result<OpenMorsel*> made = pool_->OpenMorselNamed(name.c_str(), nullptr);
  Must(made.has_value(), "open");
  if (made) open_[kFirstMorsel] = *made;
}

void CarvedPoolTarget::Resize(uint64_t morsel, bool grow, sim::Log& log) {
  const auto [size, root] = StateOf(morsel);
  const uint64_t wanted = grow ? size + 1 : size - 1;
  if (wanted == 0 || IsGiant(morsel) || wanted > kCapacityUnits) return;
  log.Note(kMayBe, morsel, wanted, root);
  const Status done = open_[morsel]->Resize(wanted * UnitBytes(morsel));
  log.Note(kIs, morsel, done.ok() ? wanted : size, root);
  Must(done.ok() || done.code() == (grow ? Code::kNoSpace : Code::kBusy), "resize");
}

void CarvedPoolTarget::Remove(uint64_t morsel, sim::Log& log) {
  Must(pool_->Close(open_[morsel], false).ok(), "close");
  open_.erase(morsel);
  log.Note(kMayBe, morsel, 0, 0);
  Must(pool_->Remove(NameOfMorsel(morsel).c_str()).ok(), "remove");
  log.Note(kIs, morsel, 0, 0);
}

void CarvedPoolTarget::SetRoot(uint64_t number, bool far, sim::Log& log) {
  OpenMorsel& morsel = *open_[number];
  const auto [size, root] = StateOf(number);
  void* const before = root == 0 ? nullptr : *morsel.Root(kRoot);
  const uint64_t size_bytes = far ? kFarBytes : sizeof(Object);
  // A morsel that grows by itself may take a subtree for the object.
  if (Grows(number) && size < kCapacityUnits) log.Note(kMayBe, number, size + 1, root);
  log.Note(kWritten, number, 0);  // a slab may be made there, for the object or for the root
  const Result<void*> block =
      morsel.heap().Allocate(size_bytes, far && !IsGiant(number) ? kSubtreeBytes : 16);
  const uint64_t now = morsel.record().size_bytes / UnitBytes(number);
  if (Grows(number)) log.Note(kIs, number, now, root);
  Must(block || block.error() == Code::kNoSpace, "malloc");
  if (!block) return;
  Object& object = *static_cast<Object*>(*block);
  const uint64_t offset = reinterpret_cast<uint64_t>(&object) - morsel.record().base;
  MORSEL_CHECK(offset % UnitBytes(number) + sizeof object <= WatchedBytes(number));
  if (far) log.Note(kWritten, number, offset / UnitBytes(number));
  object = {++objects_, size_bytes, 0, 0};
  object.check = CheckOf(object);
  if (far) {
    // Only the bytes are made durable here; SetRoot() makes the allocation durable.
    Medium().Range(&object, sizeof object);
  } else {
    Must(morsel.Flush(&object, sizeof object).ok() && morsel.Fence().ok(), "persist");
  }
  log.Note(kMayBe, number, now, SaysOf(object));
  Must(morsel.SetRoot(kRoot, &object).ok(), "set_root");
  log.Note(kIs, number, now, SaysOf(object));
  for (const void* const own : *Roots(morsel.heap()).Blocks()) {
    const uint64_t at = reinterpret_cast<uint64_t>(own) - morsel.record().base;
    MORSEL_CHECK(at + sizeof(RootNode) <= WatchedBytes(number));
  }
  if (before != nullptr) morsel.heap().Free(before);
}

void CarvedPoolTarget::ForgetRoot(uint64_t number, sim::Log& log) {
  OpenMorsel& morsel = *open_[number];
  const auto [size, root] = StateOf(number);
  if (root == 0) return;
  void* const before = *morsel.Root(kRoot);
  log.Note(kMayBe, number, size, 0);
  Must(morsel.SetRoot(kRoot, nullptr).ok(), "set_root");
  log.Note(kIs, number, size, 0);
  morsel.heap().Free(before);
}

void CarvedPoolTarget::Checkpoint(uint64_t number, sim::Log& log) {
  OpenMorsel& morsel = *open_[number];
  const auto [size, root] = StateOf(number);
  if (root != 0) {
    log.Note(kMayBe, number, size, root + 1);
    ++static_cast<Object*>(*morsel.Root(kRoot))->changes;
  }
  Must(morsel.Checkpoint().ok(), "checkpoint");
  if (root != 0) log.Note(kIs, number, size, root + 1);
}

void CarvedPoolTarget::Reopen() {
  for (const auto& [number, morsel] : open_) Must(pool_->Close(morsel, false).ok(), "close");
  open_.clear();
  pool_.reset();
  if (std::string wrong = OpenAll(); !wrong.empty()) complaint_ = wrong;
}

void CarvedPoolTarget::Perform(uint32_t operation, sim::Log& log) {
  static thread_local const alloc::EndOfThread at_end;
  (void)at_end;
  if (operation == kCreate || operation == kCreateGiant) {
    return Create(operation == kCreateGiant, log);
  }
  if (operation == kReopen) return Reopen();
  if (operation == kImport) return Import(log);
  if (open_.empty()) return;
  const uint64_t newest = open_.rbegin()->first;
  switch (operation) {
    case kGrow:
    case kShrink:
      return Resize(newest, operation == kGrow, log);
    case kRemove:
      return Remove(open_.begin()->first, log);
    case kReplace:
      Create(IsGiant(newest), log);
      return Remove(newest, log);
    case kRootNear:
    case kRootFar:
      return SetRoot(newest, operation == kRootFar, log);
    case kCheckpoint:
      return Checkpoint(newest, log);
    default:
      return ForgetRoot(newest, log);
  }
}

sim::Script CarvedPoolTarget::GoOn(uint64_t pick) {
  switch (pick % 5) {
    case 0:
      return {{kCreate, kRootFar}};
    case 1:
      return {{kForgetRoot, kShrink, kCreate}};
    case 2:
      return {{kReplace, kGrow}};
    case 3:
      return {{kReopen, kRootNear}};
    default:
      return {{kRootFar, kRemove}};
  }
}

void CarvedPoolTarget::Forget(bool orderly) {
  if (orderly) {
    // Nothing is checkpointed, as when a process ends.
    for (const auto& [number, morsel] : open_) (void)pool_->Close(morsel, true);
    pool_.reset();
  } else {
    (void)pool_.release();
  }
  open_.clear();
  space_.Forget();
}

}  // namespace morsel
