// What runs in the machine of ./dev vm: writers that are cut off, checkers that compare afterwards,
// and what counts faults.
//
//   workload make     KIND POOL LOGS NUMBER        makes a pool, and an empty log
//   workload write    KIND POOL LOGS NUMBER SEED   works without end
//   workload check    KIND POOL LOGS NUMBER SEED   prints what is wrong; status 1 if anything is
//   workload touch    POOL SIZE_MIB huge|giant     stores to every page of a fine morsel
//   workload scribble DEVICE OFFSET                stores a word, on a device of 2 MiB units
//   workload poke     POOL MORSEL OFFSET           stores to a page; SIGBUS may end it
//   workload poison   POOL MORSEL OFFSET           the same, once the kernel was told that the page
//                                                  is bad
//   workload hold     POOL MORSEL                  prints "holds", then stores without end
//   workload pair     POOL POOL                    opens a fine morsel in each at the same time
//
// KIND is one of: fine, a fine morsel in a carved pool; files, a fine morsel in a directory pool;
// image, a snapshot morsel; graph, a snapshot morsel with the package graph.
// LOGS is a file of at least (NUMBER + 1) times 32 MiB that survives every end of the machine:
// memory of the host, through a PCI device.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <type_traits>

#include "base/check.h"
#include "base/units.h"
#include "morsel/morsel.h"
#include "tests/crash/fine/fine_morsel.h"
#include "tests/crash/image/image_checker.h"
#include "tests/crash/image/image_pool.h"
#include "tests/crash/image/image_writer.h"
#include "tests/vm/graph_workload.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kLogBytes = 32 * kMiB;

template <class Log>
Log* LogAt(const std::string& path, const std::string& number) {
  static_assert(sizeof(Log) <= kLogBytes && std::is_trivially_destructible_v<Log>);
  const int descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) Die("'%s' cannot be opened: %m", path.c_str());
  void* const memory = mmap(nullptr, kLogBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor,
                            static_cast<off_t>(std::stoul(number) * kLogBytes));
  if (memory == MAP_FAILED) Die("'%s' cannot be mapped: %m", path.c_str());
  close(descriptor);
  return static_cast<Log*>(memory);
}

int PrintFindings(const Findings& findings, const char* failure) {
  for (const std::string& finding : findings) std::printf("%s\n", finding.c_str());
  if (*failure != '\0') std::printf("the writer failed: %s\n", failure);
  return findings.empty() && *failure == '\0' ? 0 : 1;
}

int Fine(const std::string& verb, PoolKind kind, const std::string& pool, FineLog* log,
         uint64_t seed) {
  if (verb == "make") {
    new (log) FineLog();
    const std::string why = MakeFinePool(pool, kind);
    return PrintFindings(why.empty() ? Findings() : Findings{why}, "");
  }
  if (verb == "write") return RunFineWriter(pool, seed, 0, Lie::kNone, *log);
  const uint64_t steps = log->work.steps.value();
  const int status = PrintFindings(CheckFine(pool, {.seed = seed, .fresh_blocks = 2'000}, *log),
                                   log->work.failure.text);
  std::printf("steps %lu\n", steps);
  return status;
}

int Image(const std::string& verb, const std::string& pool, ImageLog* log, uint64_t seed) {
  if (verb == "make") {
    new (log) ImageLog();
    MakeImagePool(pool, *log);
    return 0;
  }
  if (verb == "write") return RunImageWriter(pool, seed, 0, Calls::kAnyDuringCheckpoints, *log);
  const int status = PrintFindings(CheckImage(pool, {.seed = seed, .fresh_blocks = 2'000}, *log),
                                   log->failure.text);
  uint64_t steps = 0;
  for (const Counter& moment : log->moments) steps += moment.value();
  std::printf("steps %lu\n", steps);
  return status;
}

int Graph(const std::string& verb, const std::string& pool, GraphLog* log, uint64_t seed) {
  if (verb == "make") {
    new (log) GraphLog();
    MakeGraph(pool, *log);
    return 0;
  }
  if (verb == "write") GrowGraph(pool, seed, *log);
  const std::string why = CheckGraph(pool, *log);
  const int status = PrintFindings(why.empty() ? Findings() : Findings{why}, log->failure.text);
  std::printf("steps %lu\n", log->steps.value());
  return status;
}

long Faults() {
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) Die("getrusage failed: %m");
  return usage.ru_minflt + usage.ru_majflt;
}

// What is behind the heap's own must be zero in a new morsel, whoever had the space before. It is
// left in another state for the next.
std::string MarkZeros(char* base, uint64_t size_bytes) {
  for (uint64_t end = 2 * kSubtreeBytes; end <= size_bytes; end += kSubtreeBytes) {
    auto* const word = reinterpret_cast<uint64_t*>(base + end) - 1;
    if (*word != 0) return "memory of a new morsel is not zero at " + std::to_string(end - 8);
    *word = 0x6d6f7273656c;
  }
  return "";
}

// A store to each page of the morsel's memory, from behind the heap's own on.
int Touch(const std::string& path, uint64_t size_bytes, bool giant) {
  constexpr char kName[] = "touched";
  morsel_pool_t* pool = nullptr;
  morsel_code code = morsel_pool_open(path.c_str(), nullptr, &pool);
  if (code != MORSEL_OK) return PrintFindings({Message("morsel_pool_open", code)}, "");
  const uint32_t flags =
      MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_FINE | (giant ? MORSEL_GIANT : 0);
  morsel_options options = {};
  options.struct_size = sizeof options;
  options.flags = flags;
  options.size_bytes = size_bytes;
  options.capacity_bytes = size_bytes;
  morsel_t* morsel = nullptr;
  code = morsel_open(pool, kName, &options, &morsel);
  if (code != MORSEL_OK) return PrintFindings({Message("morsel_open", code)}, "");
  morsel_info info = {};
  info.struct_size = sizeof info;
  code = morsel_stat(morsel, &info);
  if (code != MORSEL_OK) return PrintFindings({Message("morsel_stat", code)}, "");
  const std::string why = MarkZeros(static_cast<char*>(info.base), size_bytes);
  if (!why.empty()) return PrintFindings({why}, "");
  // Closed and opened again, nothing of it is in the page table.
  code = morsel_close(morsel);
  if (code == MORSEL_OK) code = morsel_open(pool, kName, nullptr, &morsel);
  if (code != MORSEL_OK) return PrintFindings({Message("morsel_open", code)}, "");
  auto* const memory = static_cast<uint64_t*>(info.base);
  const long before = Faults();
  // In one access each, which is a store and yet changes nothing: the heap stays what it is, and no
  // load brings a fault of its own.
  for (uint64_t at = 0; at < size_bytes; at += kPageBytes) {
    __atomic_fetch_or(memory + at / sizeof *memory, 0, __ATOMIC_RELAXED);
  }
  std::printf("faults %ld\n", Faults() - before);
  code = morsel_close(morsel);
  if (code == MORSEL_OK) code = morsel_remove(pool, kName);
  if (code == MORSEL_OK) code = morsel_pool_close(pool);
  return PrintFindings(code == MORSEL_OK ? Findings() : Findings{Message("closing", code)}, "");
}

int Scribble(const std::string& path, uint64_t offset) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) Die("'%s' cannot be opened: %m", path.c_str());
  const uint64_t within = offset % kSubtreeBytes;
  void* const memory = mmap(nullptr, kSubtreeBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor,
                            static_cast<off_t>(offset - within));
  if (memory == MAP_FAILED) Die("'%s' cannot be mapped: %m", path.c_str());
  std::memset(static_cast<char*>(memory) + within, 0x5a, sizeof(uint64_t));
  return 0;
}

struct Opened {
  morsel_pool_t* pool = nullptr;
  morsel_t* morsel = nullptr;
};

Opened Open(const std::string& path, const std::string& name, const morsel_options* options) {
  Opened opened;
  morsel_code code = morsel_pool_open(path.c_str(), nullptr, &opened.pool);
  if (code == MORSEL_OK) code = morsel_open(opened.pool, name.c_str(), options, &opened.morsel);
  if (code != MORSEL_OK) Die("'%s': %s", path.c_str(), morsel_last_error());
  return opened;
}

int Poke(const std::string& path, const std::string& name, uint64_t offset, bool poison) {
  char* const page = static_cast<char*>(morsel_base(Open(path, name, nullptr).morsel)) + offset;
  if (poison && madvise(page, kPageBytes, MADV_HWPOISON) != 0) Die("MADV_HWPOISON: %m");
  __atomic_fetch_or(reinterpret_cast<uint64_t*>(page), 0, __ATOMIC_RELAXED);
  return 0;
}

int Hold(const std::string& path, const std::string& name) {
  auto* const base = static_cast<uint64_t*>(morsel_base(Open(path, name, nullptr).morsel));
  std::printf("holds\n");
  for (;;) __atomic_fetch_or(base, 0, __ATOMIC_RELAXED);
}

int Pair(const std::string& one, const std::string& other) {
  morsel_options fine = {};
  fine.struct_size = sizeof fine;
  fine.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_FINE;
  fine.size_bytes = 4 * kMiB;
  fine.capacity_bytes = 4 * kMiB;
  const Opened opened[] = {Open(one, "pair", &fine), Open(other, "pair", &fine)};
  for (const Opened& at : opened) {
    void* const block = morsel_malloc(at.morsel, 1000);
    if (block == nullptr) Die("morsel_malloc: %s", morsel_last_error());
    std::memset(block, 7, 1000);
    morsel_code code = morsel_persist(at.morsel, block, 1000);
    if (code == MORSEL_OK) code = morsel_set_root(at.morsel, "block", block);
    if (code != MORSEL_OK || morsel_of(block) != at.morsel) Die("%s", morsel_last_error());
  }
  for (const Opened& at : opened) {
    morsel_code code = morsel_close(at.morsel);
    if (code == MORSEL_OK) code = morsel_remove(at.pool, "pair");
    if (code == MORSEL_OK) code = morsel_pool_close(at.pool);
    if (code != MORSEL_OK) Die("%s", morsel_last_error());
  }
  return 0;
}

int Usage() {
  std::fprintf(stderr, "workload: see the head of its source\n");
  return 2;
}

int Main(int count, char** arguments) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const auto argument = [&](int i) { return std::string(i < count ? arguments[i] : ""); };
  const std::string verb = argument(1);
  if (verb == "touch" && count == 5) {
    return Touch(argument(2), std::stoul(argument(3)) * kMiB, argument(4) == "giant");
  }
  if (verb == "scribble" && count == 4) return Scribble(argument(2), std::stoul(argument(3)));
  if ((verb == "poke" || verb == "poison") && count == 5) {
    return Poke(argument(2), argument(3), std::stoul(argument(4), nullptr, 0), verb == "poison");
  }
  if (verb == "hold" && count == 4) return Hold(argument(2), argument(3));
  if (verb == "pair" && count == 4) return Pair(argument(2), argument(3));
  if ((verb != "make" && verb != "write" && verb != "check") || count < 6) return Usage();
  const uint64_t seed = count > 6 ? std::stoul(argument(6)) : 0;
  const std::string pool = argument(3);
  if (argument(2) == "fine" || argument(2) == "files") {
    const PoolKind kind = argument(2) == "files" ? PoolKind::kDirectory : PoolKind::kCarved;
    return Fine(verb, kind, pool, LogAt<FineLog>(argument(4), argument(5)), seed);
  }
  if (argument(2) == "graph") {
    return Graph(verb, pool, LogAt<GraphLog>(argument(4), argument(5)), seed);
  }
  if (argument(2) != "image") return Usage();
  return Image(verb, pool, LogAt<ImageLog>(argument(4), argument(5)), seed);
}

}  // namespace
}  // namespace morsel::crash

int main(int count, char** arguments) { return morsel::crash::Main(count, arguments); }
