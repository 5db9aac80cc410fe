// morselctl info: describes a pool, a morsel or an image.
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/pool_facts.h"
#include "cli/record.h"
#include "cli/units.h"

namespace morsel::cli {
namespace {

constexpr uint64_t kSubtreeBytes = uint64_t{2} << 20;

// A pool's path as the library says it, too: what ends in a slash is a directory.
std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Value ValueOf(const std::string& path, const morsel_pool_info& info) {
  Value value;
  value.Set("pool", path)
      .Set("kind", KindName(info))
      .Set("id", FormatId(info.id))
      .Set("medium", info.medium)
      .Set("file_system", info.file_system)
      .Set("survives_power_off", info.survives_power_off != 0)
      .Set("granularity_bytes", IsCarved(info) ? info.fine_granularity : info.snapshot_granularity)
      .Set("granularity", GranularityInWords(info))
      .Set("window",
           Value::List().Add(FormatAddress(info.window_begin)).Add(FormatAddress(info.window_end)))
      .Set("morsels", info.morsels)
      .Set("size_bytes", info.size_bytes)
      .Set("free_bytes", info.free_bytes);
  if (!IsCarved(info)) value.Set("frames", info.frames).Set("dirty", info.tracking);
  return value;
}

int InfoOfPool(const std::string& path, morsel_pool_t* pool, const Printer& printer) {
  const morsel_pool_info info = PoolInfo(pool);
  Facts lines;
  lines.Add("pool", Printable(path));
  lines.Add("kind", IsCarved(info) ? "carved: one file or device, cut into subtrees"
                                   : "directory: one file for each morsel");
  lines.Add("id", FormatId(info.id));
  lines.Add("medium", info.medium_in_words);
  lines.Add("granularity", GranularityInWords(info));
  lines.Add("power-off", info.survival);
  if (!IsCarved(info)) {
    lines.Add("frames", info.frames);
    lines.Add("written pages", std::string("found by ") + info.tracking);
  }
  lines.Add("address window",
            FormatAddress(info.window_begin) + " - " + FormatAddress(info.window_end));
  lines.Add("morsels", std::to_string(info.morsels));
  lines.Add("space", FormatSize(info.free_bytes) + " free of " + FormatSize(info.size_bytes) +
                         (IsCarved(info) ? "" : " of the file system"));
  printer.Print(ValueOf(path, info), lines.Text());
  return kExitDone;
}

void AddRange(const morsel_info& info, Facts& lines) {
  lines.Add("addresses", FormatAddress(BaseOf(info)) + " - " +
                             FormatAddress(BaseOf(info) + info.capacity_bytes));
  lines.Add("capacity", FormatSizeFully(info.capacity_bytes));
  lines.Add("size", FormatSizeFully(info.size_bytes) +
                        (Grows(info) ? ", grows as it is used" : ", fixed until it is resized"));
  lines.Add("subtrees", IsGiant(info) ? "1 GiB (giant)" : "2 MiB (huge)");
}

void AddDoubt(const morsel_info& info, const char* how, Facts& lines) {
  if (!MayBeOlder(info)) return;
  lines.Add("doubt", std::string("one of its two superblocks is not whole: it is damaged, or power "
                                 "was lost while it was written; no checkpoint is lost unless the "
                                 "other one could not be written; `morselctl ") +
                         how + "` says more");
}

// Describes an image by its superblock only. `verify` checks the rest.
int InfoOfImage(const std::string& path, const morsel_info& info, const Printer& printer) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    throw Failure{MORSEL_NOT_FOUND, "'" + path + "' is gone; check the path"};
  }
  const auto file_bytes = static_cast<uint64_t>(status.st_size);
  const auto allocated_bytes = static_cast<uint64_t>(status.st_blocks) * 512;
  Facts lines;
  lines.Add("image", Printable(path));
  lines.Add("id", FormatId(info.id));
  lines.Add("contract", IsFine(info) ? "fine: for pools on persistent memory"
                                     : "snapshot: for directory pools");
  AddRange(info, lines);
  lines.Add("live", FormatSizeFully(info.live_bytes));
  lines.Add("generation", std::to_string(info.generation));
  AddDoubt(info, "verify FILE", lines);
  lines.Add("codec", CodecName(info));
  lines.Add("file", FormatSizeFully(file_bytes) + ", of which " + FormatSize(allocated_bytes) +
                        " are taken");
  lines.Add("mode", FormatMode(info.mode));
  lines.Add("owner", OwnerOf(info));
  lines.Add("what next",
            "`morselctl verify FILE` reads it whole, `import POOL FILE` brings it into a "
            "pool, `salvage FILE` finds what is intact");
  printer.Print(Value()
                    .Set("file", path)
                    .Set("file_bytes", file_bytes)
                    .Set("allocated_bytes", allocated_bytes)
                    .Set("morsel", ValueOfImage(path, info)),
                lines.Text());
  return kExitDone;
}

// Whether the path is an image's. If not, it may be a pool's.
// Throws  Failure: it is a damaged image.
bool IsImage(const std::string& path, morsel_info& info) {
  info.struct_size = sizeof info;
  const morsel_code code = morsel_stat_image(path.c_str(), &info);
  if (code == MORSEL_CORRUPT || code == MORSEL_VERSION) Must(code);
  return code == MORSEL_OK;
}

// How many subtrees of a fine morsel one page fault maps whole.
struct MappedHuge {
  bool is_known = false;
  uint64_t subtrees = 0;
  std::string words;
};

MappedHuge CountMappedHuge(morsel_pool_t* pool, const morsel_info& info) {
  MappedHuge huge;
  huge.is_known = morsel_count_huge(pool, info.name, &huge.subtrees) == MORSEL_OK;
  const uint64_t all = info.size_bytes / kSubtreeBytes;
  huge.words = huge.is_known
                   ? std::to_string(huge.subtrees * 100 / all) + " % (" +
                         std::to_string(huge.subtrees) + " of " + std::to_string(all) + " subtrees)"
                   : std::string("unknown: ") + morsel_last_error();
  return huge;
}

int InfoOfMorsel(const std::string& path, morsel_pool_t* pool, const std::string& name,
                 const Printer& printer) {
  const morsel_info info = FindMorsel(pool, name);
  const bool fine = IsFine(info);
  const MappedHuge huge = fine ? CountMappedHuge(pool, info) : MappedHuge();
  Facts lines;
  lines.Add("morsel", SpellingOf(info.name));
  lines.Add("pool", Printable(path));
  lines.Add("id", FormatId(info.id));
  lines.Add("contract", fine ? "fine: what is persisted is durable at once"
                             : "snapshot: a checkpoint makes all of it durable");
  lines.Add("granularity", GranularityInWords(info.granularity));
  AddRange(info, lines);
  if (fine) lines.Add("mapped huge", huge.words);
  lines.Add("live", FormatSizeFully(info.live_bytes) +
                        (fine ? " at the last close" : " at the last checkpoint"));
  lines.Add("generation", std::to_string(info.generation) +
                              (fine ? " (checkpoints and closes)" : " (checkpoints)"));
  AddDoubt(info, "check POOL", lines);
  if (!fine) lines.Add("codec", CodecName(info));
  lines.Add("mode", FormatMode(info.mode));
  lines.Add("owner", OwnerOf(info));
  Value value = cli::ValueOf(info);
  if (huge.is_known) value.Set("mapped_huge_subtrees", huge.subtrees);
  printer.Print(value, lines.Text());
  return kExitDone;
}

}  // namespace

int Info(const InfoOptions& options, const Printer& printer) {
  morsel_info image{};
  if (!options.name && IsImage(options.path, image)) {
    return InfoOfImage(options.path, image, printer);
  }
  const PoolHandle pool = OpenPoolAt(options.path, Access::kRead);
  const std::string path = WithoutTrailingSlashes(options.path);
  return options.name
             ? InfoOfMorsel(path, pool.get(), NameMeant(pool.get(), *options.name), printer)
             : InfoOfPool(path, pool.get(), printer);
}

}  // namespace morsel::cli
