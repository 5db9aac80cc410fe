// What malloc and free cost in a snapshot morsel, by default options, as its life goes on: it
// grows, is checkpointed and asked how full it is, gets roots, and threads come and go, until what
// a malloc and a free cost does not change any more. Then they may cost little more than at first.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>

#include "bench/meter.h"
#include "bench/place.h"
#include "bench/scratch_folder.h"
#include "morsel/morsel.h"

namespace bench {
namespace {

/// How often a life may have a pair cost more than at first. Where the short way of malloc or free
/// is lost, it is 20 times and more.
constexpr double kCostMost = 1.5;
constexpr int kRoundsMax = 200;
/// Nothing has changed where so many rounds in a row differ by no more than that.
constexpr size_t kRoundsAlike = 8;
constexpr double kAlike = 1.1;

void Must(morsel_code code) {
  if (code != MORSEL_OK) Fail(morsel_code_name(code), morsel_last_error());
}

class LongLife {
 public:
  explicit LongLife(const std::string& folder) {
    morsel_pool_options pool_options = {};
    pool_options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
    Must(morsel_pool_open((folder + "/pool").c_str(), &pool_options, &pool_));
    morsel_options options = {};
    options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
    Must(morsel_open(pool_, "heap", &options, &morsel_));
  }
  ~LongLife() {
    Must(morsel_discard(morsel_));
    Must(morsel_pool_close(pool_));
  }
  LongLife(const LongLife&) = delete;
  LongLife& operator=(const LongLife&) = delete;

  // The least that a malloc and a free of 64 bytes cost, of some measures.
  double PairNs() {
    constexpr uint64_t kPairs = 10'000;
    double least = 1e9;
    for (int measure = 0; measure < 20; ++measure) {
      Meter meter;
      meter.Start();
      for (uint64_t i = 0; i < kPairs; ++i) morsel_free(morsel_, Block(64));
      meter.Stop(kPairs);
      least = std::min(least, static_cast<double>(meter.cpu_ns()) / kPairs);
    }
    return least;
  }

  void GoOn(int round) {
    const uint64_t before = morsel_size(morsel_);
    while (morsel_size(morsel_) == before) (void)Block(1000);
    for (int i = 0; i < 4; ++i) {
      morsel_info info = {};
      info.struct_size = sizeof info;
      Must(morsel_stat(morsel_, &info));
      Must(morsel_set_root(morsel_, ("root-" + std::to_string(i)).c_str(), Block(64)));
      std::thread([this] { morsel_free(morsel_, Block(64)); }).join();
    }
    if (round % 8 == 0) Must(morsel_checkpoint(morsel_));
  }

  uint64_t size_bytes() const { return morsel_size(morsel_); }

 private:
  void* Block(uint64_t size_bytes) {
    void* const block = morsel_malloc(morsel_, size_bytes);
    if (block == nullptr) Fail("allocating a block", morsel_last_error());
    return block;
  }

  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
};

bool CostsTheSame(const std::string& folder) {
  LongLife life(folder);
  const double early_ns = life.PairNs();
  std::array<double, kRoundsAlike> last{};
  double late_ns = 0;
  int round = 0;
  for (bool alike = false; !alike && round < kRoundsMax; ++round) {
    life.GoOn(round);
    late_ns = life.PairNs();
    last[static_cast<size_t>(round) % kRoundsAlike] = late_ns;
    const auto [low, high] = std::minmax_element(last.begin(), last.end());
    // A fault shows within some tens of rounds: so many there are in any case.
    alike = round >= kRoundsMax / 2 && *high <= kAlike * *low;
  }
  std::printf("{\"early_ns\": %.2f, \"late_ns\": %.2f, \"rounds\": %d, \"size_bytes\": %" PRIu64
              "}\n",
              early_ns, late_ns, round, life.size_bytes());
  return late_ns <= kCostMost * early_ns;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  CLI::App app("What malloc and free cost at the end of a snapshot morsel's long life.");
  std::string folder = "/dev/shm";
  app.add_option("--folder", folder, "for the pool");
  CLI11_PARSE(app, argc, argv);
  const bool good = bench::CostsTheSame(bench::ScratchFolder(folder, "life").path());
  if (!good) bench::Fail("a long life", "a malloc and a free cost more than they did at first");
}
