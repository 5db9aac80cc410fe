// What a malloc and a free of 64 bytes cost a program that has many morsels open and goes from one
// to the next, pair by pair.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/meter.h"
#include "bench/place.h"
#include "bench/scratch_folder.h"
#include "morsel/morsel.h"

namespace bench {
namespace {

void Must(morsel_code code) {
  if (code != MORSEL_OK) Fail(morsel_code_name(code), morsel_last_error());
}

class ManyMorsels {
 public:
  ManyMorsels(const std::string& folder, size_t count) {
    morsel_pool_options pool_options = {};
    pool_options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
    Must(morsel_pool_open((folder + "/pool").c_str(), &pool_options, &pool_));
    morsel_options options = {};
    options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
    for (size_t i = 0; i < count; ++i) {
      morsel_t* morsel = nullptr;
      Must(morsel_open(pool_, std::to_string(i).c_str(), &options, &morsel));
      morsels_.push_back(morsel);
    }
  }
  ~ManyMorsels() {
    for (morsel_t* const morsel : morsels_) Must(morsel_discard(morsel));
    Must(morsel_pool_close(pool_));
  }
  ManyMorsels(const ManyMorsels&) = delete;
  ManyMorsels& operator=(const ManyMorsels&) = delete;

  size_t count() const { return morsels_.size(); }

  // With the first `count` of them in turn. The least of some measures: what disturbs the machine
  // makes it more.
  double PairNs(size_t count) const {
    constexpr size_t kPairs = 40'000;
    double least = 1e9;
    for (int measure = 0; measure < 30; ++measure) {
      Meter meter;
      meter.Start();
      for (size_t i = 0, at = 0; i < kPairs; ++i) {
        morsel_t* const morsel = morsels_[at];
        void* const block = morsel_malloc(morsel, 64);
        if (block == nullptr) Fail("allocating a block", morsel_last_error());
        morsel_free(morsel, block);
        at = at + 1 == count ? 0 : at + 1;
      }
      meter.Stop(kPairs);
      least = std::min(least, static_cast<double>(meter.cpu_ns()) / kPairs);
    }
    return least;
  }

 private:
  morsel_pool_t* pool_ = nullptr;
  std::vector<morsel_t*> morsels_;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  CLI::App app("What a malloc and a free cost in many open morsels in turn.");
  std::string folder = "/dev/shm";
  size_t count = 1000;
  app.add_option("--folder", folder, "for the pool");
  app.add_option("--morsels", count, "at most");
  CLI11_PARSE(app, argc, argv);
  const bench::ScratchFolder scratch(folder, "many");
  {
    const bench::ManyMorsels morsels(scratch.path(), count);
    std::puts("morsels in turn | a pair, ns | over 16");
    const double few_ns = morsels.PairNs(std::min<size_t>(count, 16));
    for (const size_t in_turn : {1, 16, 100, 400, 1000, 4000}) {
      if (in_turn > count) break;
      const double pair_ns = morsels.PairNs(in_turn);
      std::printf("%15zu | %10.1f | %7.2f\n", in_turn, pair_ns, pair_ns / few_ns);
    }
  }
}
