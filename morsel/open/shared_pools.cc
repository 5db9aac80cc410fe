#include "morsel/open/shared_pools.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "morsel/open/process.h"

namespace morsel {
namespace {

struct Shared {
  FileIdentity place;
  std::unique_ptr<OpenPool> pool;
  uint64_t opens = 1;
};

// Guarded by KeepFromForking(), so that a child never finds it half changed.
std::vector<Shared>& AllShared() {
  static auto* const all = new std::vector<Shared>;  // outlives every static of the program
  return *all;
}

std::vector<Shared>::iterator Find(const OpenPool* pool) {
  return std::find_if(AllShared().begin(), AllShared().end(),
                      [&](const Shared& one) { return one.pool.get() == pool; });
}

// Takes back an open that is not the last one.
bool IsCountedDown(const OpenPool* pool) {
  const auto shared = Find(pool);
  if (shared == AllShared().end() || shared->opens == 1) return false;
  --shared->opens;
  return true;
}

}  // namespace

// The pool is opened in any case: this call is refused what it would be refused without the other.
Result<OpenPool*> OpenCountedPool(const char* path, const morsel_pool_options* options,
                                  os::SystemCalls& calls) {
  Result<std::unique_ptr<OpenPool>> opened = OpenPool::Open(path, options, calls);
  if (!opened) return opened.status();
  if (!(*opened)->pool().read_only()) return opened->release();
  const FileIdentity place = (*opened)->pool().place();
  std::unique_ptr<OpenPool> superfluous;  // it ends when forks may come again
  const auto no_fork = KeepFromForking();
  for (Shared& shared : AllShared()) {
    // One that a parent of this process has opened is none of its own.
    if (shared.place != place || shared.pool->forked()) continue;
    ++shared.opens;
    superfluous = std::move(*opened);
    return shared.pool.get();
  }
  AllShared().push_back({place, std::move(*opened)});
  return AllShared().back().pool.get();
}

Status CloseCountedPool(OpenPool* pool) {
  const bool forked = pool->forked();
  {
    const auto no_fork = KeepFromForking();
    if (!forked && IsCountedDown(pool)) return Code::kOk;
  }
  MORSEL_TRY(pool->MayClose());
  const Status kept = forked ? Status() : pool->pool().CheckIsKept();
  std::unique_ptr<OpenPool> ended;  // as above
  const auto no_fork = KeepFromForking();
  if (IsCountedDown(pool)) return Code::kOk;  // somebody has opened it meanwhile
  const auto shared = Find(pool);
  if (shared == AllShared().end()) {
    ended.reset(pool);
    return kept;
  }
  ended = std::move(shared->pool);
  AllShared().erase(shared);
  return kept;
}

}  // namespace morsel
