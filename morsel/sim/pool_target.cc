#include "morsel/sim/pool_target.h"

#include <stdlib.h>
#include <unistd.h>

#include "alloc/heap/threads/end_of_thread.h"
#include "base/check.h"

namespace morsel::sim {
namespace {

constexpr char kMorselName[] = "sim";
/// The room in the pool beside the morsel: for its metadata, and some that is never taken.
constexpr uint64_t kPoolExtraBytes = uint64_t{6} << 20;

std::string FreshPath() {
  char folder[] = "/dev/shm/morsel-sim-XXXXXX";
  MORSEL_CHECK(mkdtemp(folder) != nullptr);
  return std::string(folder) + "/pool";
}

}  // namespace

PoolTarget::PoolTarget(const std::vector<Workload>& workloads,
                       const RecoverAndCheck& recover_and_check, uint64_t capacity_bytes)
    : workloads_(workloads),
      recover_and_check_(recover_and_check),
      capacity_bytes_(capacity_bytes),
      path_(FreshPath()) {}

PoolTarget::~PoolTarget() {
  unlink(path_.c_str());
  rmdir(path_.substr(0, path_.rfind('/')).c_str());
}

std::string PoolTarget::NameOf(uint32_t operation) const {
  return "workload " + std::to_string(operation);
}

void PoolTarget::Perform(uint32_t operation, Log& log) {
  static thread_local const alloc::EndOfThread at_end;
  (void)at_end;
  workloads_[operation](morsel_, log);
}

Script PoolTarget::GoOn(uint64_t pick) {
  return {{static_cast<uint32_t>(pick % workloads_.size())}};
}

void PoolTarget::Prepare() {
  {
    const SameIds same;
    Result<Pool> pool = Pool::open(path_, {.flags = MORSEL_CREATE | MORSEL_CARVED,
                                           .mode = 0,
                                           .size_bytes = capacity_bytes_ + kPoolExtraBytes});
    if (!pool) Die("the simulated pool: %s", last_error());
    Result<Morsel> morsel = Morsel::open(*pool, kMorselName,
                                         {.flags = MORSEL_CREATE | MORSEL_FINE,
                                          .mode = 0,
                                          .size_bytes = capacity_bytes_,
                                          .capacity_bytes = capacity_bytes_});
    if (!morsel) Die("the simulated morsel: %s", last_error());
  }
  file_ = std::make_unique<WatchedFile>(path_);
}

std::string PoolTarget::Recover(Log& log) {
  Result<Pool> pool = Pool::open(path_);
  if (!pool) return std::string("the pool does not open: ") + last_error();
  pool_.emplace(std::move(*pool));
  Result<Morsel> morsel = Morsel::open(*pool_, kMorselName);
  if (!morsel) return std::string("the morsel does not open: ") + last_error();
  morsel_ = std::move(*morsel);
  return recover_and_check_(morsel_, log);
}

void PoolTarget::Forget(bool orderly) {
  if (!orderly) {
    // The objects may be in the middle of a change, so they are leaked and never touched again.
    (void)new Morsel(std::move(morsel_));
    if (pool_) (void)new Pool(std::move(*pool_));
    pool_.reset();
    return;
  }
  if (morsel_) (void)morsel_.discard();
  pool_.reset();
}

}  // namespace morsel::sim
