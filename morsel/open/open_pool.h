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
#include "morsel/pool/pool.h"
#include "morsel/tools.h"

namespace morsel {

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
  /// Writes the morsel as the image `path`, whether it is open or not.
  /// options  as for Backing::Export().
  Status Export(const char* name, const char* path, const ExportRequest& options = {});
  /// Makes a morsel of the image at `path`.
  /// name      nullptr stands for the file's name.
  /// progress  called while the image is read.
  Status Import(const char* path, const char* name, const image::Progress& progress = {});
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
  /// Calls `body` with the pool while none of its morsels is open in this process or can be opened.
  /// Errors  kBusy: one is open; those of `body`.
  Status WithNoneOpen(const std::function<Status(impl::Pool&)>& body);

 private:
  struct Counted {
    std::unique_ptr<OpenMorsel> morsel;
    uint64_t opens = 0;
    bool is_salvaged = false;  ///< the image is damaged, and the damaged parts are zero in memory
  };

  OpenPool(std::unique_ptr<impl::Pool> pool, os::SystemCalls& calls);
  Status MayUse() const;
  morsel_info InfoOf(const CatalogRecord& record);
  Result<OpenMorsel*> OpenAgain(Counted& counted, const morsel_options* options);
  Result<OpenMorsel*> OpenOrCreate(const std::string& name, const morsel_options* options);
  Result<OpenMorsel*> OpenIntact(const std::string& name, const morsel_options& options);
  Result<std::unique_ptr<Backing>> Create(const std::string& name, const morsel_options& options);

  std::unique_ptr<impl::Pool> pool_;
  os::SystemCalls& calls_;
  Mutex mutex_{LockRank::kOpenPool};     ///< guards open_, and serializes the calls of *pool_
  std::map<std::string, Counted> open_;  ///< by the morsel's name
  uint32_t fork_count_;
};

}  // namespace morsel
