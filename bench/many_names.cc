// What one more named thing costs beside many: a morsel that is made in a directory pool, a root
// that is set, a root that is found.
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "bench/meter.h"
#include "bench/place.h"
#include "bench/scratch_folder.h"
#include "morsel/morsel.h"

namespace bench {
namespace {

void Must(bool holds, const char* what) {
  if (!holds) Fail(what, morsel_last_error());
}

morsel_pool_t* MakePool(const std::string& path) {
  morsel_pool_options options = {};
  options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
  morsel_pool_t* pool = nullptr;
  Must(morsel_pool_open(path.c_str(), &options, &pool) == MORSEL_OK, "making a pool");
  return pool;
}

morsel_t* Make(morsel_pool_t* pool, const std::string& name) {
  morsel_options options = {};
  options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
  morsel_t* morsel = nullptr;
  Must(morsel_open(pool, name.c_str(), &options, &morsel) == MORSEL_OK, "making a morsel");
  return morsel;
}

// Prints a line for each tenth of them.
void MakeMorsels(const std::string& folder, size_t count) {
  std::puts("morsels in the pool | making one, ms of CPU | ms");
  morsel_pool_t* const pool = MakePool(folder + "/morsels");
  const size_t tenth = std::max<size_t>(count / 10, 1);
  for (size_t made = 0; made < count;) {
    Meter meter;
    meter.Start();
    const size_t end = std::min(made + tenth, count);
    const size_t begin = made;
    for (; made < end; ++made) {
      Must(morsel_discard(Make(pool, std::to_string(made))) == MORSEL_OK, "closing a morsel");
    }
    const auto number = static_cast<double>(end - begin);
    meter.Stop(end - begin);
    std::printf("%19zu | %21.3f | %.3f\n", made, static_cast<double>(meter.cpu_ns()) / 1e6 / number,
                static_cast<double>(meter.wall_ns()) / 1e6 / number);
  }
  Must(morsel_pool_close(pool) == MORSEL_OK, "closing the pool");
}

std::string NameOf(size_t root) { return "the root with the number " + std::to_string(root); }

double NsEach(const Meter& meter) {
  return static_cast<double>(meter.cpu_ns()) / static_cast<double>(meter.operations());
}

// Roots are found in another order than they were set in.
void SetRoots(const std::string& folder, size_t count) {
  std::puts("roots of the morsel | setting one, ns | finding one, ns");
  morsel_pool_t* const pool = MakePool(folder + "/roots");
  morsel_t* const morsel = Make(pool, "m");
  std::vector<void*> objects(count);
  for (void*& object : objects) {
    object = morsel_malloc(morsel, 16);
    Must(object != nullptr, "allocating");
  }
  std::mt19937_64 random(1);
  for (size_t set = 0, next = std::min<size_t>(count, 1000); set < count;
       next = std::min(next * 10, count)) {
    Meter setting;
    setting.Start();
    const size_t begin = set;
    for (; set < next; ++set) {
      Must(morsel_set_root(morsel, NameOf(set).c_str(), objects[set]) == MORSEL_OK, "set_root");
    }
    setting.Stop(next - begin);
    Meter finding;
    constexpr size_t kFound = 100'000;
    finding.Start();
    for (size_t i = 0; i < kFound; ++i) {
      const size_t root = random() % set;
      Must(morsel_root(morsel, NameOf(root).c_str()) == objects[root], "finding a root");
    }
    finding.Stop(kFound);
    std::printf("%19zu | %15.0f | %.0f\n", set, NsEach(setting), NsEach(finding));
  }
  Must(morsel_discard(morsel) == MORSEL_OK, "closing");
  Must(morsel_pool_close(pool) == MORSEL_OK, "closing the pool");
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  CLI::App app("What a morsel that is made, a root that is set and one that is found cost.");
  std::string folder = "/dev/shm";
  size_t morsels = 2000;
  size_t roots = 1'000'000;
  app.add_option("--folder", folder, "for the pools");
  app.add_option("--morsels", morsels, "how many are made, of 2 MiB each");
  app.add_option("--roots", roots, "how many are set");
  CLI11_PARSE(app, argc, argv);
  const bench::ScratchFolder scratch(folder, "names");
  setenv("MORSEL_ADDRESSES", (scratch.path() + "/addresses").c_str(), 1);
  bench::MakeMorsels(scratch.path(), morsels);
  bench::SetRoots(scratch.path(), roots);
}
