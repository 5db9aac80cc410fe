// One measurement of commits, through the C API and the installed library; prints JSON. What a disk
// takes for a plain write is measured in between, so that what disturbs one disturbs both.
// docs/benchmarks.md says what each is.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "bench/commits/disk.h"
#include "bench/commits/full_morsel.h"
#include "bench/meter.h"
#include "morsel/morsel.hpp"

namespace bench {
namespace {

struct Options {
  std::string folder;
  std::string measure;
  uint64_t size_mib = 64;
  uint64_t pages = 1;      // changed before each commit
  uint64_t commits = 500;  // that are measured, in a batch of them where there are several
  uint64_t warm = 1000;    // made before
  uint64_t threads = 1;
  uint64_t batches = 12;  // at most
  bool same = false;      // threads change the same pages
  bool thin = false;
};

double At(std::vector<uint64_t>& all, double part) {
  std::sort(all.begin(), all.end());
  const auto last = static_cast<double>(all.size() - 1);
  return static_cast<double>(all[static_cast<size_t>(part * last)]);
}
double Median(std::vector<uint64_t>& all) { return At(all, 0.5); }

/// What a commit takes, of which the changes were made before.
uint64_t CommitNs(FullMorsel& morsel) {
  const uint64_t begin = WallNs();
  morsel.Commit();
  return WallNs() - begin;
}

// One page at one place.
void MeasurePage(const Options& options) {
  FullMorsel morsel(options.folder, options.size_mib);
  RawFile raw(morsel.folder(), 8 * kMib);
  char* const place = morsel.pages()[morsel.pages().size() / 4];
  std::vector<uint64_t> commits;
  std::vector<uint64_t> writes;
  for (uint64_t i = 0; i < options.warm + options.commits; ++i) {
    morsel.Begin();
    morsel.Change(place);
    const uint64_t commit_ns = CommitNs(morsel);
    if (i < options.warm) continue;
    commits.push_back(commit_ns);
    writes.push_back(raw.Overwrite(8192));
  }
  std::printf("{\"commit_ns\": %.0f, \"raw_ns\": %.0f, \"huge_bytes\": %" PRIu64 "}\n",
              Median(commits), Median(writes), HugeBytes());
}

void MeasureNothing(const Options& options) {
  FullMorsel morsel(options.folder, options.size_mib);
  morsel_info info = {};
  info.struct_size = sizeof info;
  Must(morsel_stat(morsel.get(), &info), "asking");
  std::vector<uint64_t> commits;
  std::vector<uint64_t> scans;
  morsel.Begin();
  morsel.ChangeFirst(1);
  morsel.Commit();
  const DiskCounts before = CountsSoFar();
  for (uint64_t i = 0; i < options.commits; ++i) {
    morsel.Begin();
    commits.push_back(CommitNs(morsel));
    scans.push_back(ScanNs(info.base, info.size_bytes));
  }
  const DiskCounts after = CountsSoFar();
  std::printf(
      "{\"commit_ns\": %.0f, \"scan_ns\": %.0f, \"writes\": %" PRIu64 ", \"syncs\": %" PRIu64 "}\n",
      Median(commits), Median(scans), after.writes - before.writes, after.syncs - before.syncs);
}

// Pages anywhere: the first commits after all was stored, and later ones.
void MeasureScattered(const Options& options) {
  FullMorsel morsel(options.folder, options.size_mib);
  RawFile raw(morsel.folder(), 64 * kMib);
  const auto measure = [&](uint64_t count, std::vector<uint64_t>* commits) {
    std::vector<uint64_t> writes;
    for (uint64_t i = 0; i < count; ++i) {
      morsel.Begin();
      morsel.ChangeSome(options.pages);
      commits->push_back(CommitNs(morsel));
      writes.push_back(raw.Overwrite(options.pages * kPage));
    }
    return Median(writes);
  };
  std::vector<uint64_t> first;
  std::vector<uint64_t> others;
  std::vector<uint64_t> worn;
  const double first_raw = measure(10, &first);
  (void)measure(options.warm, &others);
  const double worn_raw = measure(options.commits, &worn);
  std::printf(
      "{\"first_ns\": %.0f, \"first_raw_ns\": %.0f, \"worn_ns\": %.0f, \"worn_raw_ns\": %.0f}\n",
      Median(first), first_raw, Median(worn), worn_raw);
}

// Each thread changes one page and commits. With `same` 64 pages are shared out among them.
void MeasureThreads(const Options& options) {
  FullMorsel morsel(options.folder, options.size_mib);
  constexpr uint64_t kSame = 64;
  const uint64_t choices = options.same ? kSame : morsel.pages().size();
  std::atomic<uint64_t> left{0};
  std::atomic<uint64_t> values{0};  // each is new, as a page that stays as it is costs no write
  const auto work = [&](uint64_t thread) {
    Random random(thread + 1);
    while (left.fetch_sub(1) - 1 < uint64_t{1} << 63) {
      const uint64_t value = ++values;
      const uint64_t own = options.same ? thread * (kSame / options.threads) : 0;
      const uint64_t some = random.Below(options.same ? kSame / options.threads : choices);
      morsel.Begin();
      std::memcpy(morsel.pages()[own + some], &value, sizeof value);
      morsel.Commit();
    }
  };
  const auto run = [&](uint64_t commits) {
    left = commits;
    std::vector<std::thread> threads;
    const uint64_t begin = WallNs();
    for (uint64_t i = 0; i < options.threads; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
    return WallNs() - begin;
  };
  (void)run(options.warm);
  const DiskCounts before = CountsSoFar();
  const uint64_t ns = run(options.commits);
  const uint64_t made = CountsSoFar().syncs - before.syncs;
  std::printf("{\"commits\": %" PRIu64 ", \"syncs\": %" PRIu64 ", \"ns\": %" PRIu64 "}\n",
              options.commits, made, ns);
}

void MeasureSettling(const Options& options) {
  FullMorsel morsel(options.folder, options.size_mib);
  std::vector<uint64_t> commits;
  for (uint64_t i = 0; i < options.warm + options.commits; ++i) {
    morsel.Begin();
    morsel.ChangeSome(options.pages);
    const uint64_t ns = CommitNs(morsel);
    if (i >= options.warm) commits.push_back(ns);
  }
  std::printf("{\"median_ns\": %.0f, \"p99_ns\": %.0f, \"worst_ns\": %.0f}\n", Median(commits),
              At(commits, 0.99), At(commits, 1));
}

// How long others are kept from beginning a section.
void MeasureStall(const Options& options) {
  FullMorsel morsel(options.folder, options.size_mib);
  RawFile raw(morsel.folder(), options.pages * kPage);
  std::atomic<bool> is_over{false};
  std::atomic<uint64_t> longest{0};
  std::atomic<uint64_t> sections{0};
  std::thread other([&] {
    while (!is_over) {
      const uint64_t begin = WallNs();
      morsel.Begin();
      Must(morsel_end(morsel.get()), "ending a section");
      const uint64_t ns = WallNs() - begin;
      if (ns > longest) longest = ns;
      ++sections;
    }
  });
  std::vector<uint64_t> stalls;
  std::vector<uint64_t> commits;
  std::vector<uint64_t> writes;
  for (uint64_t i = 0; i < options.warm + options.commits; ++i) {
    morsel.Begin();
    morsel.ChangeFirst(options.pages);
    longest = 0;
    const uint64_t ns = CommitNs(morsel);
    const uint64_t until = sections + 2;  // who waited has noted how long
    while (sections < until) std::this_thread::yield();
    if (i < options.warm) continue;
    stalls.push_back(longest);
    commits.push_back(ns);
    writes.push_back(raw.Overwrite(options.pages * kPage));
  }
  is_over = true;
  other.join();
  std::printf("{\"stall_ns\": %.0f, \"commit_ns\": %.0f, \"raw_ns\": %.0f}\n", Median(stalls),
              Median(commits), Median(writes));
}

// Batches of commits until what they write does not change any more, or there were enough.
void MeasureWear(const Options& options) {
  FullMorsel morsel(options.folder, options.size_mib,
                    options.thin ? FullMorsel::Kind::kThin : FullMorsel::Kind::kFull);
  std::vector<double> ratios;
  const auto mean_of = [&](size_t begin) {
    return (ratios[begin] + ratios[begin + 1] + ratios[begin + 2]) / 3;
  };
  const auto is_steady = [&] {
    const size_t count = ratios.size();
    if (count < 6) return false;
    const double now = mean_of(count - 3);
    const double before = mean_of(count - 6);
    return now < before * 1.05 && before < now * 1.05;
  };
  while (ratios.size() < options.batches && !is_steady()) {
    const DiskCounts before = CountsSoFar();
    uint64_t changed = 0;
    for (uint64_t i = 0; i < options.commits; ++i) {
      morsel.Begin();
      changed += morsel.ChangeSome(options.pages);
      morsel.Commit();
    }
    const uint64_t written = CountsSoFar().written_bytes - before.written_bytes;
    ratios.push_back(static_cast<double>(written) / static_cast<double>(changed * kPage));
  }
  const size_t count = ratios.size();
  const uint64_t used = morsel.pages().size() * kPage;
  std::printf(
      "{\"first\": %.4f, \"last\": %.4f, \"batches\": %zu, \"steady\": %s, \"file_over_used\": "
      "%.4f}\n",
      ratios[0], count < 3 ? ratios[count - 1] : mean_of(count - 3), count,
      is_steady() ? "true" : "false",
      static_cast<double>(morsel.FileBytes()) / static_cast<double>(used));
}

// The least of some rounds, by processor time.
template <class Pair>
double PairNs(uint64_t count, const Pair& pair) {
  double least = 1e9;
  for (int round = 0; round < 7; ++round) {
    Meter meter;
    meter.Start();
    for (uint64_t i = 0; i < count; ++i) pair();
    meter.Stop(count);
    least = std::min(least, static_cast<double>(meter.cpu_ns()) / static_cast<double>(count));
  }
  return least;
}

void MeasurePairs(const Options& options) {
  FullMorsel morsel(options.folder, 4);
  uint64_t failed = 0;
  const double c = PairNs(options.commits, [&] {
    failed += morsel_begin(morsel.get()) != MORSEL_OK ? 1 : 0;
    failed += morsel_end(morsel.get()) != MORSEL_OK ? 1 : 0;
  });
  const double cpp = PairNs(options.commits, [&] {
    morsel::Update update(morsel.get());
    failed += update.status().ok() ? 0 : 1;
  });
  if (failed != 0) Fail("beginning and ending", morsel_last_error());
  std::printf("{\"c_ns\": %.3f, \"cpp_ns\": %.3f}\n", c, cpp);
}

// What fork(2) takes a process that has as much memory, on pages of 2 MiB or of 4 KiB.
void MeasureFork(const Options& options) {
  const uint64_t bytes = options.size_mib * kMib;
  std::map<std::string, double> took;
  for (const bool is_huge : {true, false}) {
    void* const memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) Fail("mapping memory", "there is none");
    (void)madvise(memory, bytes, is_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    std::memset(memory, 1, bytes);
    std::vector<uint64_t> all;
    for (int round = 0; round < 5; ++round) {
      const uint64_t begin = WallNs();
      const pid_t child = fork();
      if (child == 0) _exit(0);
      all.push_back(WallNs() - begin);
      waitpid(child, nullptr, 0);
    }
    munmap(memory, bytes);
    took[is_huge ? "huge" : "small"] = Median(all);
  }
  std::printf("{\"huge_ns\": %.0f, \"small_ns\": %.0f}\n", took["huge"], took["small"]);
}

const std::map<std::string, void (*)(const Options&)> kMeasures = {
    {"page", MeasurePage},       {"nothing", MeasureNothing},   {"scattered", MeasureScattered},
    {"threads", MeasureThreads}, {"settling", MeasureSettling}, {"stall", MeasureStall},
    {"wear", MeasureWear},       {"pairs", MeasurePairs},       {"fork", MeasureFork}};

}  // namespace
}  // namespace bench

int main(int count, char** words) {
  bench::Options options;
  CLI::App app{"Measures commits in one way"};
  app.add_option("--folder", options.folder, "where the pool is made")->required();
  app.add_option("--measure", options.measure, "what")->required();
  app.add_option("--size-mib", options.size_mib, "that are used")->check(CLI::Range(2, 1 << 20));
  app.add_option("--pages", options.pages, "changed before each commit")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--commits", options.commits, "that are measured")->check(CLI::Range(1, 1 << 30));
  app.add_option("--warm", options.warm, "commits before");
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 64));
  app.add_option("--batches", options.batches, "at most")->check(CLI::Range(1, 1000));
  app.add_flag("--same", options.same, "threads change the same 64 pages");
  app.add_flag("--thin", options.thin, "one page of each 2 MiB is used");
  CLI11_PARSE(app, count, words);
  const auto found = bench::kMeasures.find(options.measure);
  if (found == bench::kMeasures.end()) bench::Fail(options.measure.c_str(), "no such measure");
  found->second(options);
  return 0;
}
