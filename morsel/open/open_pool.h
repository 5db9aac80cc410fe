// One open pool, and the morsels of it that are open.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/result.h"
#include "morsel/morsel.h"
#include "morsel/open/open_morsel.h"
#include "morsel/open/process.h"
#include "morsel/open/rebasing.h"
#include "morsel/pool/pool.h"
#include "morsel/tools.h"

namespace morsel {

/// No lock is held while bytes move. A call that opens, makes, closes or removes a morsel has an
/// entry for its name, and only calls for the same name wait for it.
///
/// Threads  any. Nobody may use the object during the destructor.
/// Errors   in a forked child every call that returns a Status or a Result answers kBusy.
class OpenPool {
 public:
  /// Opens the pool at `path`, or creates it, as morsel_pool_open() says. nullptr options open what
  /// is there.
  static Result<std::unique_ptr<OpenPool>> Open(const char* path,
                                                const morsel_pool_options* options,
                                                os::SystemCalls& calls);
  virtual ~OpenPool();
  OpenPool(const OpenPool&) = delete;
  OpenPool& operator=(const OpenPool&) = delete;

  impl::Pool& pool() { return *pool_; }

  /// Errors  kBusy while a morsel of the pool is open.
  Status MayClose();
  /// Whether the pool was opened by a parent of this process.
  bool forked() const;

  /// Opens the morsel, or creates it, as morsel_open() says. A morsel that is open already is
  /// counted once more.
  /// Ownership  the pool owns the morsel; the caller calls Close() once for each open.
  Result<OpenMorsel*> OpenMorselNamed(const char* name, const morsel_options* options);
  /// Takes one open back. The last close checkpoints (unless `discard`) and deletes the morsel.
  /// Errors  kBusy: `discard` of a morsel with more opens; as OpenMorsel::Close(): it stays open.
  Status Close(OpenMorsel* morsel, bool discard);
  Status Remove(const char* name);
  /// Gives the morsel the name `to`, as morsel_rename() says.
  Status Rename(const char* name, const char* to);
  /// Writes the morsel as the image `path`, whether it is open or not.
  /// options  as for Backing::Export().
  Status Export(const char* name, const char* path, const ExportRequest& options = {});
  struct Importing {
    bool replaces = false;  ///< what has the name gives way
    bool may_move = false;  ///< if the image's addresses are taken, the morsel gets others
    Rebasing rebasing{};    ///< how; with a base or a capacity it is moved always
  };
  /// Makes a morsel of the image at `path`, as morsel_import_with() says.
  /// name  nullptr stands for the one that the image carries, or the file's.
  Result<Rebased> Import(const char* path, const char* name, const Importing& importing);
  /// Gives the morsel another address, as morsel_rebase() says.
  Result<Rebased> Rebase(const char* name, const Rebasing& rebasing);
  /// Makes the morsel `to` a copy of the other, as morsel_copy() says.
  Result<Rebased> CopyMorsel(const char* name, const char* to, const Rebasing& rebasing);
  /// Calls `visit` for each morsel, sorted by name, until it returns other than 0. No lock is held
  /// meanwhile, so `visit` may call the library.
  Status List(int (*visit)(const morsel_info*, void*), void* context);

  /// What morsel_find() tells of the morsel.
  Result<morsel_info> Find(const char* name);
  /// What morsel_pool_stat() tells.
  Result<morsel_pool_info> Facts();
  /// Does what morsel_list_unreadable() does. No lock is held while `visit` runs.
  Status ListUnreadable(int (*visit)(const char* name, morsel_code code, const char* message,
                                     void* context),
                        void* context);
  /// Checks the name of a morsel that may be there. What others have put into a directory may have
  /// a name that no new morsel gets; it is opened, exported and removed by it all the same.
  /// Errors  as CheckMorselName().
  Status CheckKnownName(const char* name);
  /// Checks that no morsel of the pool is open in this process.
  /// Errors  kBusy; the message names one.
  Status MayCheck();
  /// Calls `body` while the morsel `name` is not open in this process and nobody opens it.
  /// Errors  kBusy: it is open; those of `body`.
  Status WhileClosed(const std::string& name, const std::function<Status()>& body);

 private:
  /// What becomes of a name in this process. Without an entry nothing does.
  enum class State : uint8_t {
    kTaken,    ///< a call opens, makes, removes or reads it; other calls for the name wait
    kOpen,     ///< it is open
    kClosing,  ///< the last close is at work; other calls for the name wait
  };
  struct Entry {
    State state = State::kTaken;
    std::unique_ptr<OpenMorsel> morsel;  ///< unless it is kTaken
    std::unique_ptr<OpenName> is_open;   ///< with a morsel: for other handles of the pool
    uint64_t opens = 0;
    uint64_t uses = 0;         ///< calls that use the morsel by its name; a close waits for them
    bool is_salvaged = false;  ///< the image is damaged, and the damaged parts are zero in memory
  };
  /// The use of an open morsel by its name.
  ///
  /// As long as it lives the morsel stays open, and its close waits. It waits for nothing itself:
  /// if a call is just opening or closing the morsel, it has none.
  class Use {
   public:
    Use(OpenPool& pool, const std::string& name) : pool_(pool) {
      const std::lock_guard held(pool.mutex_);
      const auto found = pool.entries_.find(name);
      if (found == pool.entries_.end() || found->second.state != State::kOpen) return;
      entry_ = &found->second;
      ++entry_->uses;
    }
    /// Takes the morsel that WaitFor() has found. The caller holds the pool's lock.
    Use(OpenPool& pool, Entry& entry) : pool_(pool), entry_(&entry) { ++entry.uses; }
    ~Use() {
      if (entry_ == nullptr) return;
      const std::lock_guard held(pool_.mutex_);
      --entry_->uses;
      pool_.changed_.NotifyAll();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    OpenMorsel* morsel() const { return entry_ == nullptr ? nullptr : entry_->morsel.get(); }

   private:
    OpenPool& pool_;
    Entry* entry_ = nullptr;
  };

  OpenPool(std::unique_ptr<impl::Pool> pool, os::SystemCalls& calls);
  Status MayUse() const;
  /// Checks that no other handle of the pool has the morsel open.
  Status IsClosedElsewhere(const std::string& name, const char* deed) const;
  /// Waits until no call is at work on the name. Returns the morsel if it is open, else nullptr.
  Entry* WaitFor(const std::string& name, std::unique_lock<Mutex>& held);
  /// Calls `body` without the lock, while the name is kTaken. Afterwards the name has the entry
  /// that `body` has filled, or none if that has no morsel.
  Status WhileTaken(const std::string& name, std::unique_lock<Mutex>& held,
                    const std::function<Status(Entry& entry)>& body);
  /// Calls `body` while nothing else becomes of either name. `doing` is what the message says if
  /// the first is open.
  Status WhileBothClosed(const std::string& name, const std::string& to, const char* doing,
                         const std::function<Status()>& body);
  Status MayMake(const char* name, const char* how);
  Result<Rebased> ImportInto(const std::string& name, const image::ImageFile& image,
                             const Importing& importing);
  morsel_info InfoOf(const CatalogRecord& record);
  Result<OpenMorsel*> OpenAgain(Entry& entry, const morsel_options* options);
  Status OpenOrCreate(const std::string& name, const morsel_options* options, Entry& entry);
  /// Makes an open morsel of the memory that a pool has opened.
  Status Adopt(std::unique_ptr<Backing> backing, Entry& entry, bool is_new,
               const morsel_options* options);
  Status OpenIntact(const std::string& name, const morsel_options& options,
                    const image::Progress& progress, Entry& entry);
  Result<std::unique_ptr<Backing>> Create(const std::string& name, const morsel_options& options,
                                          const image::Progress& progress);

  std::unique_ptr<impl::Pool> pool_;
  os::SystemCalls& calls_;
  Mutex mutex_{LockRank::kOpenPool};      ///< guards entries_; held for a few lines each time
  Condition changed_;                     ///< an entry has another state, or is gone
  std::map<std::string, Entry> entries_;  ///< by the morsel's name
  uint32_t fork_count_;
};

}  // namespace morsel
