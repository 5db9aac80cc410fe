// morselctl create: makes a pool, or a morsel in a pool.
#include <sys/stat.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/pool_facts.h"
#include "cli/progress_bar.h"
#include "cli/record.h"
#include "cli/units.h"
#include "morsel/morsel.h"
#include "morsel/open/open_options.h"

namespace morsel::cli {
namespace {

struct Arguments {
  std::string pool;
  std::string name;
  bool carved = false;
  bool fine = false;
  bool giant = false;
  uint32_t mode = 0;
  uint64_t size_bytes = 0;
  uint64_t capacity_bytes = 0;
  uint32_t codec = MORSEL_CODEC_NONE;
};

int CreatePool(const Arguments& arguments, bool json) {
  if (arguments.fine || arguments.giant || arguments.capacity_bytes != 0 ||
      arguments.codec != MORSEL_CODEC_NONE) {
    throw Failure{
        Code::kInvalidArgument,
        "--fine, --giant, --capacity and --codec are for morsels: give the new one's NAME "
        "behind the pool"};
  }
  if (arguments.carved && arguments.size_bytes == 0) {
    throw Failure{Code::kInvalidArgument, "a carved pool needs a size: say e.g. --size 1G"};
  }
  if (!arguments.carved && arguments.size_bytes != 0) {
    throw Failure{Code::kInvalidArgument,
                  "--size of a pool is for carved ones: say --carved too, or give a morsel's NAME"};
  }
  struct stat status;
  const bool is_there = lstat(arguments.pool.c_str(), &status) == 0;
  if (is_there && S_ISCHR(status.st_mode)) {
    throw Failure{Code::kExists, "'" + arguments.pool + "' is a device; `morselctl format " +
                                     arguments.pool + "` makes it a pool"};
  }
  if (is_there && (arguments.carved || !S_ISDIR(status.st_mode))) {
    throw Failure{Code::kExists, "'" + arguments.pool + "' exists already; choose another path"};
  }
  morsel_pool_options options{};
  options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
  if (arguments.carved) options.flags |= MORSEL_CARVED;
  options.mode = arguments.mode;
  options.size_bytes = arguments.size_bytes;
  Must(OpenPool::Open(arguments.pool.c_str(), &options, os::KernelCalls()));
  if (json) {
    Print(nlohmann::ordered_json{{"pool", arguments.pool},
                                 {"kind", arguments.carved ? "carved" : "directory"}});
  } else {
    Print("made the " + std::string(arguments.carved ? "carved" : "directory") + " pool '" +
          Printable(arguments.pool) + "'\n");
    WarnOfPowerOff(arguments.pool);
  }
  return kExitDone;
}

int CreateMorsel(const Arguments& arguments, bool json) {
  if (arguments.carved) {
    throw Failure{Code::kInvalidArgument,
                  "--carved is for pools: make the pool first, without NAME, then the morsel"};
  }
  if (arguments.capacity_bytes != 0 && arguments.size_bytes > arguments.capacity_bytes) {
    throw Failure{Code::kInvalidArgument,
                  "a morsel cannot have a size of " + FormatSize(arguments.size_bytes) +
                      " in a capacity of " + FormatSize(arguments.capacity_bytes) +
                      ": raise --capacity, or leave it out"};
  }
  std::unique_ptr<OpenPool> pool;
  try {
    pool = OpenPoolAt(arguments.pool, Access::kWrite);
  } catch (Failure& failure) {
    if (failure.code == Code::kNotFound) failure.message += ", then make the morsel in it";
    throw;
  }
  if (!arguments.fine && !pool->pool().Supports(Contract::kSnapshot, false).ok() &&
      pool->pool().Supports(Contract::kFine, false).ok()) {
    throw Failure{Code::kUnsupported, "pool '" + arguments.pool +
                                          "' is carved, and its morsels are of the fine contract: "
                                          "say --fine; snapshot morsels live in directory pools"};
  }
  Must(CheckMorselName(arguments.name.c_str()));
  if (pool->pool().Find(arguments.name)) {
    throw Failure{Code::kExists, "morsel '" + arguments.name + "' of pool '" + arguments.pool +
                                     "' exists already; choose another name"};
  }
  morsel_options options{};
  options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
  if (arguments.fine) options.flags |= MORSEL_FINE;
  if (arguments.giant) options.flags |= MORSEL_GIANT;
  options.mode = arguments.mode;
  options.size_bytes = arguments.size_bytes;
  options.capacity_bytes = arguments.capacity_bytes;
  options.codec = arguments.codec;
  const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
  options = WithProgress(options, bar.get());
  OpenMorsel* const morsel = Must(pool->OpenMorselNamed(arguments.name.c_str(), &options));
  // The new morsel is durable already, so it is closed without another checkpoint.
  Must(pool->Close(morsel, /*discard=*/true));
  const CatalogRecord record = FindMorsel(*pool, arguments.name);
  if (json) {
    Print(JsonOf(record, pool->pool().granularity_bytes(record.contract)));
  } else {
    Print("made the morsel '" + Printable(record.name) + "' of " + FormatSize(record.size_bytes) +
          " at " + FormatAddress(record.base) + "\n");
    if (record.giant && !arguments.giant) {
      Print(std::string("its size and capacity are whole GiB: the device maps nothing less\n"));
    }
  }
  return kExitDone;
}

}  // namespace

void AddCreate(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "create", "Make a pool, or a morsel in a pool.",
      "Examples:\n"
      "  morselctl create /data/pool                               a directory as a pool\n"
      "  morselctl create /data/pool graph --capacity 64G          a snapshot morsel in it\n"
      "  morselctl create /data/pool texts --codec lz4             one whose image is compressed\n"
      "  morselctl create /mnt/pmem/pool --carved --size 8G        a carved pool in a new file\n"
      "  morselctl create /mnt/pmem/pool queue --fine --size 64M   a fine morsel in it");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("POOL", arguments->pool, "The pool's path.")->required();
  CLI::Option* const name = command->add_option(
      "NAME", arguments->name, "The new morsel's name; without it, the pool is made.");
  command->add_flag("--carved", arguments->carved,
                    "Make a carved pool: a new regular file on persistent memory.");
  AddSize(command, "--size", &arguments->size_bytes,
          "Of a carved pool, all of it; of a morsel, at first (default: grows as it is used).");
  AddSize(command, "--capacity", &arguments->capacity_bytes,
          "How far the morsel can ever grow (default: 16 GiB, or its size if that is more).");
  command->add_flag("--fine", arguments->fine,
                    "The fine contract: what is persisted is durable at once.");
  command->add_flag("--giant", arguments->giant, "Of subtrees of 1 GiB.");
  AddCodec(command, &arguments->codec, "How the morsel's image is compressed", " (the default)",
           "");
  AddMode(command, &arguments->mode, "Permission bits (default: 0700 for a directory, else 0600).");
  command->callback([&invocation, arguments, name] {
    const bool has_name = name->count() > 0;
    invocation.run = [&invocation, arguments, has_name] {
      return has_name ? CreateMorsel(*arguments, invocation.json)
                      : CreatePool(*arguments, invocation.json);
    };
  });
}

}  // namespace morsel::cli
