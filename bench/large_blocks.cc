// What a large block of a snapshot morsel, by default options, costs and takes: one that is used
// all over, and one of which a page of each 2 MiB is used. Beside it are plain mappings with the
// kernel's huge pages, and without.
#include <stdlib.h>
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "bench/place.h"
#include "bench/random.h"
#include "bench/resident.h"
#include "bench/scratch_folder.h"
#include "morsel/morsel.h"

namespace bench {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kSubtreeBytes = uint64_t{2} << 20;
constexpr uint64_t kReads = 4'000'000;

enum class Kind { kMorsel, kHuge, kSmall };
constexpr std::array kKinds = {Kind::kMorsel, Kind::kHuge, Kind::kSmall};
constexpr std::array kNames = {"morsel", "huge pages", "small pages"};

void Must(morsel_code code) {
  if (code != MORSEL_OK) Fail(morsel_code_name(code), morsel_last_error());
}

class LargeBlock {
 public:
  LargeBlock(Kind kind, const std::string& folder, uint64_t size_bytes)
      : kind_(kind), size_bytes_(size_bytes) {
    if (kind == Kind::kMorsel) {
      Allocate(folder);
    } else {
      Map();
    }
  }
  ~LargeBlock() {
    if (kind_ != Kind::kMorsel) {
      munmap(bytes_, size_bytes_);
      return;
    }
    Must(morsel_discard(morsel_));
    Must(morsel_remove(pool_, "large"));
    Must(morsel_pool_close(pool_));
  }
  LargeBlock(const LargeBlock&) = delete;
  LargeBlock& operator=(const LargeBlock&) = delete;

  char* bytes() const { return bytes_; }

 private:
  void Allocate(const std::string& folder) {
    morsel_pool_options pool_options = {};
    pool_options.flags = MORSEL_CREATE;
    Must(morsel_pool_open((folder + "/pool").c_str(), &pool_options, &pool_));
    morsel_options options = {};
    options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
    Must(morsel_open(pool_, "large", &options, &morsel_));
    bytes_ = static_cast<char*>(morsel_malloc(morsel_, size_bytes_));
    if (bytes_ == nullptr) Fail("allocating a block", morsel_last_error());
  }
  void Map() {
    void* const memory = mmap(nullptr, size_bytes_ + kSubtreeBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) Fail("mapping memory", "mmap");
    (void)madvise(memory, size_bytes_ + kSubtreeBytes,
                  kind_ == Kind::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    bytes_ = static_cast<char*>(memory);
  }

  Kind kind_;
  uint64_t size_bytes_;
  char* bytes_ = nullptr;
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
};

// By processor time, so that other programs do not count.
double NowMs(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

struct Costs {
  std::vector<double> fill_ms;
  std::vector<double> others_ms;  // of the library's thread meanwhile
  std::vector<double> read_ns;
  std::vector<double> taken;  // pages over used ones
};

// What disturbs the machine makes it more. The host of a virtual machine may have to bring memory.
double Least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

void UseDensely(Kind kind, const std::string& folder, uint64_t size_bytes, Costs& costs) {
  const LargeBlock block(kind, folder, size_bytes);
  const double all_begin_ms = NowMs(CLOCK_PROCESS_CPUTIME_ID);
  const double begin_ms = NowMs(CLOCK_THREAD_CPUTIME_ID);
  std::memset(block.bytes(), 1, size_bytes);
  const double filled_ms = NowMs(CLOCK_THREAD_CPUTIME_ID);
  const double all_ms = NowMs(CLOCK_PROCESS_CPUTIME_ID) - all_begin_ms;
  Random random(1);
  uint64_t sum = 0;
  for (uint64_t i = 0; i < kReads; ++i) {
    // The next address depends on what was read.
    sum += static_cast<unsigned char>(block.bytes()[(random.Next() + sum % 2) % size_bytes]);
  }
  const double read_ms = NowMs(CLOCK_THREAD_CPUTIME_ID);
  if (sum != kReads) Fail("reading", "wrong bytes");
  costs.fill_ms.push_back(filled_ms - begin_ms);
  costs.others_ms.push_back(all_ms - costs.fill_ms.back());
  costs.read_ns.push_back((read_ms - filled_ms) * 1e6 / kReads);
}

void UseSparsely(Kind kind, const std::string& folder, uint64_t size_bytes, Costs& costs) {
  const LargeBlock block(kind, folder, size_bytes);
  ResidentMemory resident;
  resident.StartTaking();
  for (uint64_t at = 0; at < size_bytes; at += kSubtreeBytes) block.bytes()[at] = 1;
  const uint64_t used_bytes = size_bytes / kSubtreeBytes * kPageBytes;
  costs.taken.push_back(static_cast<double>(resident.TakenBytes()) /
                        static_cast<double>(used_bytes));
}

void Measure(const std::string& folder, int rounds, uint64_t size_bytes) {
  std::array<Costs, kKinds.size()> costs;
  for (size_t round = 0; round < static_cast<size_t>(rounds); ++round) {
    for (size_t turn = 0; turn < kKinds.size(); ++turn) {
      // Nobody always follows the same other: the kernel has huge pages at hand after some.
      const size_t i = (turn * (1 + round % 2) + round) % kKinds.size();
      UseSparsely(kKinds[i], folder, size_bytes, costs[i]);
      UseDensely(kKinds[i], folder, size_bytes, costs[i]);
    }
  }
  std::printf("block of %" PRIu64
              " MiB | first touch, ms | beside it, ms | random read, ns | taken over used\n",
              size_bytes >> 20);
  for (size_t i = 0; i < kKinds.size(); ++i) {
    std::printf("%-17s | %15.1f | %13.1f | %15.1f | %15.1f\n", kNames[i], Least(costs[i].fill_ms),
                Least(costs[i].others_ms), Least(costs[i].read_ns), Least(costs[i].taken));
  }
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  CLI::App app("What a large block of a snapshot morsel costs and takes.");
  std::string folder = "/dev/shm";
  int rounds = 12;
  uint64_t size_mib = 1024;
  app.add_option("--folder", folder, "for the pool");
  app.add_option("--rounds", rounds, "the least of them is shown");
  app.add_option("--size-mib", size_mib, "of the block");
  CLI11_PARSE(app, argc, argv);
  const bench::ScratchFolder scratch(folder, "large");
  bench::Measure(scratch.path(), rounds, size_mib << 20);
}
