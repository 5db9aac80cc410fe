// What a carved pool of 1 TiB costs that holds as many morsels as one can: formatting, opening,
// and creating, finding, opening and removing morsels. A sparse file stands in for the medium, and
// takes no space for morsels, so that it fits into memory: their own pages are not what is
// measured.
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <cinttypes>
#include <cstdio>
#include <string>

#include "base/error.h"
#include "base/units.h"
#include "bench/meter.h"
#include "bench/place.h"
#include "bench/scratch_folder.h"
#include "morsel/carved/carved_pool.h"

namespace bench {
namespace {

using morsel::kMiB;
using morsel::kSubtreeBytes;

// Space for the pool's own tables only.
class NoSpaceCalls : public morsel::os::SystemCalls {
 public:
  int FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) override {
    return offset == 0 ? SystemCalls::FAllocate(file, mode, offset, size_bytes) : 0;
  }
};

template <class T>
T Must(morsel::Result<T> result, const char* tried) {
  if (!result.has_value()) Fail(tried, morsel::LastError());
  return std::move(*result);
}

morsel::CatalogRecord Wanted(uint64_t number) {
  morsel::CatalogRecord record;
  record.name = "morsel-" + std::to_string(number);
  record.contract = morsel::Contract::kFine;
  record.size_bytes = kSubtreeBytes;
  record.capacity_bytes = 512 * kMiB;
  return record;
}

class Run {
 public:
  explicit Run(std::string path) : path_(std::move(path)) {}

  void All(uint64_t size_bytes, uint64_t morsels) {
    Time("format and open", 1, [&] {
      pool_ = Must(morsel::CarvedPool::Create(path_, size_bytes, 0600, calls_), "formatting");
    });
    pool_.reset();
    Time("open, empty", 1, [&] { Open(); });
    const morsel::Formatter nothing = [](const morsel::CatalogRecord&, morsel::pmem::Persist) {};
    // In four parts: each costs as much as the one before where none looks at all the others.
    for (uint64_t part = 0; part < 4; ++part) {
      Time("create a quarter", morsels / 4, [&] {
        for (uint64_t i = morsels / 4 * part; i < morsels / 4 * (part + 1); ++i) {
          Must(pool_->Create(Wanted(i), nothing), "creating a morsel");
        }
      });
    }
    pool_.reset();
    Time("open, full", 1, [&] { Open(); });
    Time("first morsel opened", 1, [&] { Must(pool_->Open("morsel-7", false), "opening"); });
    Time("open a morsel", 1000, [&] {
      for (uint64_t i = 0; i < 1000; ++i) Must(pool_->Open(Wanted(i * 4).name, false), "opening");
    });
    Time("find", morsels, [&] {
      for (uint64_t i = 0; i < morsels; ++i) Must(pool_->Find(Wanted(i).name), "finding");
    });
    Time("remove", 1000, [&] {
      for (uint64_t i = 0; i < 1000; ++i) {
        if (!pool_->Remove(Wanted(i).name).ok()) Fail("removing", morsel::LastError());
      }
    });
    pool_.reset();
  }

 private:
  void Open() { pool_ = Must(morsel::CarvedPool::Open(path_, false, calls_), "opening the pool"); }

  template <class Work>
  static void Time(const char* what, uint64_t count, Work work) {
    const uint64_t begin_ns = WallNs();
    work();
    const double ms = static_cast<double>(WallNs() - begin_ns) / 1e6;
    std::printf("%-20s %8" PRIu64 " %12.2f %12.2f\n", what, count, ms,
                ms * 1e3 / static_cast<double>(count));
  }

  std::string path_;
  NoSpaceCalls calls_;
  std::unique_ptr<morsel::impl::Pool> pool_;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  CLI::App app("What a large carved pool with many morsels costs.");
  std::string folder = "/dev/shm";
  uint64_t size_gib = 1024;
  uint64_t morsels = 65'536;
  app.add_option("--folder", folder, "for the pool: on (emulated) persistent memory");
  app.add_option("--gib", size_gib, "the pool's size");
  app.add_option("--morsels", morsels, "how many, a multiple of 4")
      ->check(CLI::Range(4000, 65'536));
  CLI11_PARSE(app, argc, argv);
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 0);
  const bench::ScratchFolder scratch(folder, "scale");
  std::printf("%-20s %8s %12s %12s\n", "what", "times", "ms", "us each");
  bench::Run(scratch.path() + "/pool").All(size_gib << 30, morsels);
}
