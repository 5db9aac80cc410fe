// One open pool and what of it is open.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/result.h"
#include "morsel/morsel.h"
#include "morsel/open/open_morsel.h"
#include "morsel/pool/pool.h"

namespace morsel {

/// Threads  any, but for Close() and the destructor.
class OpenPool {
 public:
  /// Options as in morsel.h; nullptr: what is there.
  static Result<std::unique_ptr<OpenPool>> Open(const char* path,
                                                const morsel_pool_options* options,
                                                pmem::SystemCalls& calls);
  virtual ~OpenPool();
  OpenPool(const OpenPool&) = delete;
  OpenPool& operator=(const OpenPool&) = delete;

  impl::Pool& pool() { return *pool_; }

  /// kBusy while a morsel is open, and in a forked child.
  Status MayClose();
  bool forked() const;

  Result<OpenMorsel*> OpenMorselNamed(const char* name, const morsel_options* options);
  Status Close(OpenMorsel* morsel, bool discard);
  Status Remove(const char* name);
  /// options: as Backing::Export().
  Status Export(const char* name, const char* path, const ExportOptions& options = {});
  /// name: nullptr: the file's. `progress` is told.
  Status Import(const char* path, const char* name, const pmem::image::Progress& progress = {});
  Status List(int (*visit)(const morsel_info*, void*), void* context);

 private:
  struct Counted {
    std::unique_ptr<OpenMorsel> morsel;
    uint64_t opens = 0;
    bool is_salvaged = false;  ///< what is damaged of it is zero
  };

  OpenPool(std::unique_ptr<impl::Pool> pool, pmem::SystemCalls& calls);
  Status MayUse() const;
  Result<OpenMorsel*> OpenAgain(Counted& counted, const morsel_options* options);
  Result<OpenMorsel*> OpenOrCreate(const std::string& name, const morsel_options* options);
  Result<OpenMorsel*> OpenIntact(const std::string& name, const morsel_options& options);
  Result<std::unique_ptr<Backing>> Create(const std::string& name, const morsel_options& options);

  std::unique_ptr<impl::Pool> pool_;
  pmem::SystemCalls& calls_;
  Mutex mutex_{LockRank::kOpenPool};
  std::map<std::string, Counted> open_;
  uint32_t fork_count_;
};

}  // namespace morsel
