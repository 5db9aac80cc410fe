#include "cli/pool_facts.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/record.h"
#include "cli/units.h"
#include "morsel/carved/carved_pool.h"
#include "morsel/directory/pool_file.h"
#include "os/memory/frame_kind.h"
#include "os/memory/open_dirty_tracker.h"
#include "pmem/media/medium.h"

namespace morsel::cli {
namespace {

constexpr char kForce[] = "PMEM2_FORCE_GRANULARITY";

void ReadDirectory(const std::string& path, PoolFacts& facts) {
  const os::Directory directory = Must(os::Directory::Open(os::KernelCalls(), path));
  const PoolFile file = Must(PoolFile::Open(directory, /*read_only=*/true));
  facts.id = file.id();
  facts.window = file.window();
  struct statvfs status;
  if (fstatvfs(directory.descriptor(), &status) != 0) Must(FailErrno("'%s'", path.c_str()));
  facts.size_bytes = status.f_blocks * status.f_frsize;
  facts.free_bytes = status.f_bavail * status.f_frsize;
}

void ReadCarved(CarvedPool& pool, PoolFacts& facts) {
  const PoolSuperblock& superblock = pool.superblock();
  std::copy(std::begin(superblock.id), std::end(superblock.id), facts.id.begin());
  facts.window = {superblock.window_begin, superblock.window_end};
  facts.unit_bytes = superblock.unit_bytes;
  facts.size_bytes = superblock.subtree_count * kSubtreeBytes;
  facts.free_bytes = facts.size_bytes;
  for (const CatalogRecord& record : Must(pool.List())) {
    facts.free_bytes -= std::min(record.size_bytes, facts.free_bytes);
  }
}

// Fills in the medium and what it promises. It promises no more than what is known.
void Promise(const impl::Pool& pool, PoolFacts& facts) {
  const pmem::Medium& medium = pool.medium();
  facts.file_system = medium.FileSystem(pool.path());
  facts.medium_name = medium.name();
  facts.medium = medium.InWords(facts.file_system, facts.unit_bytes);
  const bool dax_directory = medium.is_persistent_memory() && !facts.carved;
  const std::string unit = facts.carved    ? "what was persisted "
                           : dax_directory ? "what was persisted, or the last checkpoint, "
                                           : "the last checkpoint ";
  const pmem::Survival survival = medium.SurvivalOf(pool.path(), facts.file_system);
  facts.survives = unit + survival.words;
  facts.survives_power_off = survival.is_known;
}

}  // namespace

PoolFacts FactsOf(OpenPool& open) {
  impl::Pool& pool = open.pool();
  PoolFacts facts;
  CarvedPool* const carved = dynamic_cast<CarvedPool*>(&pool);
  facts.carved = carved != nullptr;
  if (facts.carved) {
    ReadCarved(*carved, facts);
  } else {
    ReadDirectory(pool.path(), facts);
    facts.frames = os::FramesInWords();
    const auto dirty = os::OpenDirtyTracker();
    facts.dirty = dirty ? (*dirty)->method() : LastError();
  }
  Promise(pool, facts);
  const uint32_t fine_bytes = pool.granularity_bytes(Contract::kFine);
  if (facts.carved || fine_bytes == kPageBytes) {
    facts.granularity = GranularityInWords(fine_bytes);
  } else {
    facts.granularity = GranularityInWords(fine_bytes) + " in fine morsels, " +
                        GranularityInWords(kPageBytes) + " in snapshot morsels";
  }
  const char* const forced = std::getenv(kForce);
  if (forced != nullptr && *forced != '\0') {
    facts.granularity += std::string(", forced by ") + kForce;
  }
  return facts;
}

void WarnOfPowerOff(const std::string& path) {
  morsel_pool_options options{};
  options.flags = MORSEL_READ_ONLY;
  const Result<std::unique_ptr<OpenPool>> pool =
      OpenPool::Open(path.c_str(), &options, os::KernelCalls());
  if (!pool) return;
  const PoolFacts facts = FactsOf(**pool);
  if (!facts.survives_power_off) Print("note: " + facts.survives + "\n");
}

}  // namespace morsel::cli
