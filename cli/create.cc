// morselctl create: makes a pool, or a morsel in a pool.
#include <sys/stat.h>

#include <memory>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/pool_facts.h"
#include "cli/progress_bar.h"
#include "cli/record.h"
#include "cli/units.h"

namespace morsel::cli {
namespace {

// Throws a Failure if a pool cannot be made as asked.
void CheckPoolOptions(const CreateOptions& options) {
  if (options.fine || options.giant || options.capacity_bytes != 0 ||
      options.codec != MORSEL_CODEC_NONE) {
    throw Failure{
        MORSEL_INVALID_ARGUMENT,
        "--fine, --giant, --capacity and --codec are for morsels: give the new one's NAME "
        "behind the pool"};
  }
  if (options.carved && options.size_bytes == 0) {
    throw Failure{MORSEL_INVALID_ARGUMENT, "a carved pool needs a size: say e.g. --size 1G"};
  }
  if (!options.carved && options.size_bytes != 0) {
    throw Failure{MORSEL_INVALID_ARGUMENT,
                  "--size of a pool is for carved ones: say --carved too, or give a morsel's NAME"};
  }
  struct stat status;
  const bool is_there = lstat(options.pool.c_str(), &status) == 0;
  if (is_there && S_ISCHR(status.st_mode)) {
    throw Failure{MORSEL_EXISTS, "'" + options.pool + "' is a device; `morselctl format " +
                                     options.pool + "` makes it a pool"};
  }
  if (is_there && (options.carved || !S_ISDIR(status.st_mode))) {
    throw Failure{MORSEL_EXISTS, "'" + options.pool + "' exists already; choose another path"};
  }
}

int CreatePool(const CreateOptions& asked, const Printer& printer) {
  CheckPoolOptions(asked);
  morsel_pool_options options{};
  options.struct_size = sizeof options;
  options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
  if (asked.carved) options.flags |= MORSEL_CARVED;
  options.mode = asked.mode;
  options.size_bytes = asked.size_bytes;
  morsel_pool_t* pool = nullptr;
  Must(morsel_pool_open(asked.pool.c_str(), &options, &pool));
  Must(morsel_pool_close(pool));
  const std::string kind = asked.carved ? "carved" : "directory";
  printer.PrintDone(Value().Set("pool", asked.pool).Set("kind", kind),
                    "made the " + kind + " pool '" + Printable(asked.pool) + "'\n");
  WarnOfPowerOff(asked.pool, printer);
  return kExitDone;
}

// Throws a Failure if a morsel cannot be made as asked, whatever the pool is.
void CheckMorselOptions(const CreateOptions& options) {
  if (options.carved) {
    throw Failure{MORSEL_INVALID_ARGUMENT,
                  "--carved is for pools: make the pool first, without NAME, then the morsel"};
  }
  if (options.capacity_bytes != 0 && options.size_bytes > options.capacity_bytes) {
    throw Failure{MORSEL_INVALID_ARGUMENT,
                  "a morsel cannot have a size of " + FormatSize(options.size_bytes) +
                      " in a capacity of " + FormatSize(options.capacity_bytes) +
                      ": raise --capacity, or leave it out"};
  }
}

PoolHandle OpenPoolFor(const CreateOptions& options) {
  PoolHandle pool;
  try {
    pool = OpenPoolAt(options.pool, Access::kAdd);
  } catch (Failure& failure) {
    if (failure.code == MORSEL_NOT_FOUND) failure.message += "; then make the morsel in it";
    throw;
  }
  const morsel_pool_info info = PoolInfo(pool.get());
  if (!options.fine && info.snapshot_granularity == 0 && info.fine_granularity != 0) {
    throw Failure{MORSEL_UNSUPPORTED, "pool '" + options.pool +
                                          "' is carved, and its morsels are of the fine contract: "
                                          "say --fine; snapshot morsels live in directory pools"};
  }
  morsel_info other{};
  other.struct_size = sizeof other;
  const morsel_code found = morsel_find(pool.get(), options.name->c_str(), &other);
  if (found == MORSEL_INVALID_ARGUMENT) Must(found);
  if (found == MORSEL_OK) {
    throw Failure{MORSEL_EXISTS, "morsel '" + *options.name + "' of pool '" + options.pool +
                                     "' exists already; choose another name"};
  }
  return pool;
}

int CreateMorsel(const CreateOptions& asked, const Printer& printer) {
  CheckMorselOptions(asked);
  const PoolHandle pool = OpenPoolFor(asked);
  morsel_options options{};
  options.struct_size = sizeof options;
  options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
  if (asked.fine) options.flags |= MORSEL_FINE;
  if (asked.giant) options.flags |= MORSEL_GIANT;
  options.mode = asked.mode;
  options.size_bytes = asked.size_bytes;
  options.capacity_bytes = asked.capacity_bytes;
  options.codec = asked.codec;
  const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
  options = WithProgress(options, bar.get());
  morsel_t* morsel = nullptr;
  Must(morsel_open(pool.get(), asked.name->c_str(), &options, &morsel));
  // The new morsel is durable already, so it is closed without another checkpoint.
  Must(morsel_discard(morsel));
  const morsel_info info = FindMorsel(pool.get(), *asked.name);
  std::string text = "made the morsel '" + SpellingOf(info.name) + "' of " +
                     FormatSize(info.size_bytes) + " at " + FormatAddress(BaseOf(info)) + "\n";
  if (IsGiant(info) && !asked.giant) {
    text += "its size and capacity are whole GiB: the device maps nothing less\n";
  }
  printer.PrintDone(ValueOf(info), text);
  return kExitDone;
}

}  // namespace

int Create(const CreateOptions& options, const Printer& printer) {
  return options.name ? CreateMorsel(options, printer) : CreatePool(options, printer);
}

}  // namespace morsel::cli
