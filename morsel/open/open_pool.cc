#include "morsel/open/open_pool.h"

#include <cstring>
#include <vector>

#include "alloc/heap/guard/guard.h"
#include "base/error.h"
#include "morsel/carved/carved_pool.h"
#include "morsel/directory/directory_pool.h"
#include "morsel/open/open_options.h"
#include "morsel/open/process.h"
#include "morsel/open/read_only_store.h"
#include "pmem/media/path_kind.h"

namespace morsel {
namespace {

Result<std::unique_ptr<impl::Pool>> OpenAt(const char* path, const morsel_pool_options& options,
                                           os::SystemCalls& calls) {
  const bool create = (options.flags & MORSEL_CREATE) != 0;
  const bool exclusive = (options.flags & MORSEL_EXCLUSIVE) != 0;
  const bool carved = (options.flags & MORSEL_CARVED) != 0;
  const bool read_only = (options.flags & MORSEL_READ_ONLY) != 0;
  const Result<pmem::PathKind> kind = pmem::KindOfPath(path);
  if (!kind && (kind.error() != Code::kNotFound || !create)) return kind.status();
  if (!kind && carved) {
    const uint32_t mode = options.mode != 0 ? options.mode : 0600;
    return CarvedPool::Create(path, options.size_bytes, mode, calls);
  }
  if (kind && *kind != pmem::PathKind::kDirectory) {
    if (create && exclusive) {
      return Fail(Code::kExists, "'%s' exists: open it without MORSEL_EXCLUSIVE, or choose another",
                  path);
    }
    return CarvedPool::Open(path, read_only, calls);
  }
  if (carved) {
    return Fail(Code::kInvalidArgument,
                "'%s' is a directory: a carved pool is a file of its own; name one, or leave "
                "MORSEL_CARVED out",
                path);
  }
  return DirectoryPool::Open(path, {create, exclusive, read_only, options.mode}, calls);
}

}  // namespace

OpenPool::OpenPool(std::unique_ptr<impl::Pool> pool, os::SystemCalls& calls)
    : pool_(std::move(pool)), calls_(calls), fork_count_(ForkCount()) {
  RememberPool(pool_.get());
  RememberHandle(this);
}

OpenPool::~OpenPool() {
  const auto no_fork = KeepFromForking();
  ForgetHandle(this);
  ForgetPool(pool_.get());
  pool_.reset();
}

Result<std::unique_ptr<OpenPool>> OpenPool::Open(const char* path,
                                                 const morsel_pool_options* options,
                                                 os::SystemCalls& calls) {
  const Result<morsel_pool_options> checked = CheckedPoolOptions(options);
  if (!checked) return checked.status();
  if (path == nullptr || *path == '\0') {
    return Fail(Code::kInvalidArgument,
                "a pool needs a path: a directory, or a carved pool's file");
  }
  // A child that is forked after the pool's file is locked and before RememberPool() would keep the
  // lock.
  const auto no_fork = KeepFromForking();
  Result<std::unique_ptr<impl::Pool>> pool = OpenAt(path, *checked, calls);
  if (!pool) return pool.status();
  return std::unique_ptr<OpenPool>(new OpenPool(std::move(pool).value(), calls));
}

bool OpenPool::forked() const { return fork_count_ != ForkCount(); }

Status OpenPool::MayUse() const {
  if (!forked()) return Code::kOk;
  return Fail(Code::kBusy,
              "pool '%s' was opened before this process was forked: open it again in the child",
              pool_->path().c_str());
}

Status OpenPool::CheckKnownName(const char* name) {
  if (name != nullptr && IsPossibleName(name) && !CheckMorselName(name).ok() &&
      std::strncmp(name, ".morsel", 7) != 0) {
    const Result<CatalogRecord> found = pool_->Find(name);
    if (found || found.error() != Code::kNotFound) return Code::kOk;
  }
  return CheckMorselName(name);
}

Status OpenPool::MayClose() {
  MORSEL_TRY(MayUse());
  std::lock_guard lock(mutex_);
  if (entries_.empty()) return Code::kOk;
  return Fail(Code::kBusy,
              "pool '%s' cannot be closed: morsel '%s' of it is open; close that first",
              pool_->path().c_str(), entries_.begin()->first.c_str());
}

Status OpenPool::MayCheck() {
  MORSEL_TRY(MayUse());
  std::lock_guard lock(mutex_);
  if (entries_.empty()) return Code::kOk;
  return Fail(Code::kBusy,
              "pool '%s' cannot be looked at whole: morsel '%s' of it is open in this process; "
              "close that first",
              pool_->path().c_str(), entries_.begin()->first.c_str());
}

OpenPool::Entry* OpenPool::WaitFor(const std::string& name, std::unique_lock<Mutex>& held) {
  for (;;) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return nullptr;
    if (found->second.state == State::kOpen) return &found->second;
    changed_.Wait(held);
  }
}

Status OpenPool::WhileTaken(const std::string& name, std::unique_lock<Mutex>& held,
                            const std::function<Status(Entry& entry)>& body) {
  entries_[name];
  held.unlock();
  Entry filled;
  const Status status = body(filled);
  held.lock();
  if (filled.morsel != nullptr) {
    filled.state = State::kOpen;
    entries_[name] = std::move(filled);
  } else {
    entries_.erase(name);
  }
  changed_.NotifyAll();
  return status;
}

Status OpenPool::WhileClosed(const std::string& name, const std::function<Status()>& body) {
  MORSEL_TRY(MayUse());
  std::unique_lock held(mutex_);
  if (WaitFor(name, held) != nullptr) {
    return Fail(Code::kBusy, "morsel '%s' of pool '%s' is open in this process; close it first",
                name.c_str(), pool_->path().c_str());
  }
  return WhileTaken(name, held, [&](Entry&) { return body(); });
}

Result<OpenMorsel*> OpenPool::OpenMorselNamed(const char* name, const morsel_options* options) {
  MORSEL_TRY(MayUse());
  MORSEL_TRY(CheckKnownName(name));
  const Result<morsel_options> checked = CheckedMorselOptions(options);
  if (!checked) return checked.status();
  // What it says is asked for when the morsel is there.
  MORSEL_TRY(alloc::Guard::IsWanted().status());
  const morsel_options* const wanted = options == nullptr ? nullptr : &*checked;
  std::unique_lock held(mutex_);
  if (Entry* const open = WaitFor(name, held)) return OpenAgain(*open, wanted);
  OpenMorsel* opened = nullptr;
  MORSEL_TRY(WhileTaken(name, held, [&](Entry& entry) {
    const Status status = OpenOrCreate(name, wanted, entry);
    opened = entry.morsel.get();
    return status;
  }));
  return opened;
}

namespace {

// Checks that a morsel that exists is what `options` ask for. A nullptr asks for nothing.
Status CheckAgainst(const CatalogRecord& record, const std::string& label,
                    const morsel_options* options) {
  if (options == nullptr) return Code::kOk;
  if ((options->flags & MORSEL_EXCLUSIVE) != 0) {
    return Fail(Code::kExists,
                "%s exists: open it without MORSEL_EXCLUSIVE, or choose another name",
                label.c_str());
  }
  const bool fine = (options->flags & MORSEL_FINE) != 0;
  const bool is_fine = record.contract == Contract::kFine;
  const bool asks = fine || (options->flags & MORSEL_CREATE) != 0;
  if (asks && fine != is_fine) {
    return Fail(Code::kInvalidArgument,
                "%s exists under the %s contract, and cannot be opened under the other: %s",
                label.c_str(), is_fine ? "fine" : "snapshot",
                is_fine ? "set MORSEL_FINE" : "leave MORSEL_FINE out");
  }
  return Code::kOk;
}

}  // namespace

Result<OpenMorsel*> OpenPool::OpenAgain(Entry& entry, const morsel_options* options) {
  OpenMorsel& morsel = *entry.morsel;
  MORSEL_TRY(CheckAgainst(morsel.record(), morsel.label(), options));
  const bool wants_to_write =
      options == nullptr ? !pool_->read_only() : (options->flags & MORSEL_READ_ONLY) == 0;
  if (morsel.read_only() && wants_to_write) {
    return Fail(Code::kBusy,
                "%s is open in this process for reading only: close it there before opening it for "
                "writing",
                morsel.label().c_str());
  }
  const bool salvage = options != nullptr && (options->flags & MORSEL_SALVAGE) != 0;
  if (entry.is_salvaged && !salvage) {
    return Fail(
        Code::kBusy,
        "%s is open in this process with MORSEL_SALVAGE, and what is damaged of it is zero: "
        "close it there first, or open it with that flag, too",
        morsel.label().c_str());
  }
  ++entry.opens;
  return &morsel;
}

Status OpenPool::OpenOrCreate(const std::string& name, const morsel_options* options,
                              Entry& entry) {
  const bool read_only =
      options == nullptr ? pool_->read_only() : (options->flags & MORSEL_READ_ONLY) != 0;
  if (pool_->read_only() && !read_only) {
    return Fail(Code::kPermission,
                "morsel '%s' cannot be opened for writing: pool '%s' is open for reading only; set "
                "MORSEL_READ_ONLY, or open the pool for writing",
                name.c_str(), pool_->path().c_str());
  }
  const bool create = options != nullptr && (options->flags & MORSEL_CREATE) != 0;
  const bool exclusive = create && (options->flags & MORSEL_EXCLUSIVE) != 0;
  const image::Progress progress = options == nullptr
                                       ? image::Progress()
                                       : ProgressOf(options->progress, options->progress_context);
  // Another process may make or remove the morsel between the look and the deed.
  constexpr int kTriesMax = 100;
  for (int tries = 1;; ++tries) {
    const Result<CatalogRecord> record = pool_->Find(name);
    if (!record && (record.error() != Code::kNotFound || !create)) {
      if (record.error() != Code::kNotFound || read_only) return record.status();
      return Fail(Code::kNotFound, "%s: an open with MORSEL_CREATE makes it where there is none",
                  LastError());
    }
    if (record) {
      const std::string label = "morsel '" + name + "' of pool '" + pool_->path() + "'";
      MORSEL_TRY(CheckAgainst(*record, label, options));
    }
    if (options != nullptr && (options->flags & MORSEL_SALVAGE) != 0) {
      return OpenIntact(name, *options, progress, entry);
    }
    const bool is_lazy = options != nullptr && (options->flags & MORSEL_LAZY) != 0;
    Result<std::unique_ptr<Backing>> backing = !record   ? Create(name, *options, progress)
                                               : is_lazy ? pool_->OpenLazily(name, progress)
                                                         : pool_->Open(name, read_only, progress);
    const Code overtaken = record ? Code::kNotFound : Code::kExists;
    if (!backing && backing.error() == overtaken && create && !exclusive && tries < kTriesMax) {
      continue;
    }
    return backing ? Adopt(std::move(*backing), entry, /*is_new=*/!record, options)
                   : backing.status();
  }
}

Status OpenPool::Adopt(std::unique_ptr<Backing> backing, Entry& entry, bool is_new,
                       const morsel_options* options) {
  const bool says = options != nullptr && options->patience_ms != 0;
  const uint64_t patience_ms = says ? options->patience_ms : OpenMorsel::kPatienceMs;
  Result<std::unique_ptr<OpenMorsel>> morsel =
      OpenMorsel::Make(std::move(backing), pool_->path(), this, is_new, patience_ms);
  if (!morsel) return morsel.status();
  entry.morsel = std::move(morsel).value();
  entry.is_open = std::make_unique<OpenName>(pool_->place(), entry.morsel->record().name);
  entry.opens = 1;
  if (entry.morsel->read_only()) ExplainStoresWhereReadOnly();
  return Code::kOk;
}

Status OpenPool::OpenIntact(const std::string& name, const morsel_options& options,
                            const image::Progress& progress, Entry& entry) {
  bool is_damaged = false;
  const image::Damaged damaged = [&](Status) {
    is_damaged = true;
    if (options.damaged == nullptr) return Status();
    const OutsideCall outside;
    options.damaged(LastError(), options.damaged_context);
    return Status();
  };
  Result<std::unique_ptr<Backing>> backing = pool_->OpenIntact(name, damaged, progress);
  if (!backing) return backing.status();
  const Status adopted = Adopt(std::move(*backing), entry, /*is_new=*/false, &options);
  if (is_damaged && adopted.code() == Code::kCorrupt) {
    return Fail(Code::kCorrupt,
                "morsel '%s' of pool '%s' is damaged where its heap begins, so that nothing in it "
                "can be found, not with MORSEL_SALVAGE either; restore it from a copy",
                name.c_str(), pool_->path().c_str());
  }
  entry.is_salvaged = is_damaged;
  return adopted;
}

namespace {

// Halves the capacity of a morsel for which nobody has asked for one, unless it is the least.
bool HasLessByDefault(CatalogRecord& record) {
  const uint64_t step = record.giant ? kGiantBytes : kSubtreeBytes;
  const uint64_t half = AlignUp(record.capacity_bytes / 2, step);
  if (half >= record.capacity_bytes || half < record.size_bytes) return false;
  if (half < kDefaultCapacityMinBytes) return false;
  record.capacity_bytes = half;
  return true;
}

}  // namespace

Result<std::unique_ptr<Backing>> OpenPool::Create(const std::string& name,
                                                  const morsel_options& options,
                                                  const image::Progress& progress) {
  const Result<CatalogRecord> wanted = WantedRecord(name.c_str(), options, *pool_);
  if (!wanted) return wanted.status();
  MORSEL_TRY(pool_->Supports(wanted->contract, wanted->giant));
  if (wanted->contract == Contract::kFine && wanted->codec != image::Codec::kNone) {
    return Fail(Code::kUnsupported,
                "morsel '%s' cannot be compressed under the fine contract, where it lies in place: "
                "leave the codec out, or MORSEL_FINE",
                name.c_str());
  }
  KeepLastError keep;
  Result<std::unique_ptr<Backing>> made = pool_->Create(*wanted, OpenMorsel::Format, progress);
  // What is free may lie in pieces, or others have taken it since the default was chosen.
  for (CatalogRecord less = *wanted; !made && made.error() == Code::kAddressExhausted &&
                                     options.capacity_bytes == 0 && HasLessByDefault(less);) {
    made = pool_->Create(less, OpenMorsel::Format, progress);
  }
  if (!made) keep.LetGo();
  return made;
}

Status OpenPool::Close(OpenMorsel* morsel, bool discard) {
  MORSEL_TRY(MayUse());
  std::unique_lock held(mutex_);
  const auto found = entries_.find(morsel->record().name);
  if (found == entries_.end() || found->second.morsel.get() != morsel ||
      found->second.state != State::kOpen) {
    return Fail(Code::kInvalidArgument, "a handle that is not open cannot be closed");
  }
  Entry& entry = found->second;
  if (entry.opens > 1 && discard) {
    return Fail(Code::kBusy, "%s is open %llu times in this process: only the last may discard it",
                morsel->label().c_str(), static_cast<unsigned long long>(entry.opens));
  }
  if (entry.opens > 1) {
    --entry.opens;
    return Code::kOk;
  }
  entry.state = State::kClosing;
  while (entry.uses > 0) changed_.Wait(held);
  held.unlock();
  const Status status = discard ? morsel->Discard() : morsel->Close();
  // Who opens the morsel next needs its address range.
  if (status.ok()) entry.morsel.reset();
  held.lock();
  if (status.ok()) {
    entries_.erase(found);
  } else {
    entry.state = State::kOpen;
  }
  changed_.NotifyAll();
  return status;
}

// Who has it open for writing keeps this handle away by a lock; who reads has none. One that opens
// it for reading after this look is overtaken as one of another process is.
Status OpenPool::IsClosedElsewhere(const std::string& name, const char* deed) const {
  if (!IsOpenHere(pool_->place(), name)) return Code::kOk;
  return Fail(Code::kBusy,
              "morsel '%s' of pool '%s' is open in this process by another handle of the pool: "
              "close it there before %s it",
              name.c_str(), pool_->path().c_str(), deed);
}

Status OpenPool::Remove(const char* name) {
  MORSEL_TRY(MayUse());
  MORSEL_TRY(CheckKnownName(name));
  std::unique_lock held(mutex_);
  if (WaitFor(name, held) != nullptr) {
    return Fail(Code::kBusy, "morsel '%s' of pool '%s' is open: close it before removing it", name,
                pool_->path().c_str());
  }
  if (pool_->read_only()) {
    return Fail(
        Code::kPermission,
        "morsel '%s' cannot be removed: pool '%s' is open for reading only; open it for writing",
        name, pool_->path().c_str());
  }
  return WhileTaken(name, held, [&](Entry&) -> Status {
    MORSEL_TRY(IsClosedElsewhere(name, "removing"));
    return pool_->Remove(name);
  });
}

// Both names are taken at once, so that two such calls never wait for each other.
Status OpenPool::WhileBothClosed(const std::string& name, const std::string& to, const char* doing,
                                 const std::function<Status()>& body) {
  std::unique_lock held(mutex_);
  do {
    if (WaitFor(name, held) != nullptr) {
      return Fail(Code::kBusy, "morsel '%s' of pool '%s' is open: close it before %s it",
                  name.c_str(), pool_->path().c_str(), doing);
    }
    if (WaitFor(to, held) != nullptr) {
      return Fail(Code::kExists, "pool '%s' has a morsel '%s' already; choose another name",
                  pool_->path().c_str(), to.c_str());
    }
  } while (entries_.contains(name));
  entries_[to];
  const Status status = WhileTaken(name, held, [&](Entry&) { return body(); });
  entries_.erase(to);  // who waits for it has been told, and looks when the lock is free
  return status;
}

Status OpenPool::Rename(const char* name, const char* to) {
  MORSEL_TRY(MayUse());
  MORSEL_TRY(CheckKnownName(name));
  MORSEL_TRY(CheckMorselName(to));
  if (std::strcmp(name, to) == 0) {
    return Fail(Code::kInvalidArgument, "morsel '%s' of pool '%s' has that name; choose another",
                name, pool_->path().c_str());
  }
  return WhileBothClosed(name, to, "renaming", [&]() -> Status {
    MORSEL_TRY(MayMake(name, "renamed"));
    MORSEL_TRY(IsClosedElsewhere(name, "renaming"));
    return pool_->Rename(name, to);
  });
}

}  // namespace morsel
