// morselctl info: describes a pool, a morsel or an image.
#include <sys/stat.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/pool_facts.h"
#include "cli/record.h"
#include "cli/units.h"
#include "image/codecs/codecs.h"
#include "image/format/superblock.h"
#include "morsel/pool/image_file_at.h"
#include "morsel/pool/image_record.h"
#include "pmem/media/dax_file.h"

namespace morsel::cli {
namespace {

int InfoOfPool(OpenPool& pool, bool json) {
  const std::string& path = pool.pool().path();
  const PoolFacts facts = FactsOf(pool);
  const size_t morsels = Must(pool.pool().List()).size();
  if (json) {
    nlohmann::ordered_json info = {
        {"pool", path},
        {"kind", facts.carved ? "carved" : "directory"},
        {"id", FormatId(facts.id)},
        {"medium", facts.medium_name},
        {"file_system", facts.file_system},
        {"survives_power_off", facts.survives_power_off},
        {"granularity_bytes",
         pool.pool().granularity_bytes(facts.carved ? Contract::kFine : Contract::kSnapshot)},
        {"granularity", facts.granularity},
        {"window", {FormatAddress(facts.window.begin), FormatAddress(facts.window.end)}},
        {"morsels", morsels},
        {"size_bytes", facts.size_bytes},
        {"free_bytes", facts.free_bytes}};
    if (!facts.carved) {
      info["frames"] = facts.frames;
      info["dirty"] = facts.dirty;
    }
    Print(info);
    return kExitDone;
  }
  Facts lines;
  lines.Add("pool", Printable(path));
  lines.Add("kind", facts.carved ? "carved: one file or device, cut into subtrees"
                                 : "directory: one file for each morsel");
  lines.Add("id", FormatId(facts.id));
  lines.Add("medium", facts.medium);
  lines.Add("granularity", facts.granularity);
  lines.Add("power-off", facts.survives);
  if (!facts.carved) {
    lines.Add("frames", facts.frames);
    lines.Add("written pages", "found by " + facts.dirty);
  }
  lines.Add("address window",
            FormatAddress(facts.window.begin) + " - " + FormatAddress(facts.window.end));
  lines.Add("morsels", std::to_string(morsels));
  lines.Add("space", FormatSize(facts.free_bytes) + " free of " + FormatSize(facts.size_bytes) +
                         (facts.carved ? "" : " of the file system"));
  Print(lines.Text());
  return kExitDone;
}

void AddRange(const CatalogRecord& record, Facts& lines) {
  lines.Add("addresses", FormatAddress(record.base) + " - " +
                             FormatAddress(record.base + record.capacity_bytes));
  lines.Add("capacity", FormatSizeFully(record.capacity_bytes));
  lines.Add("size", FormatSizeFully(record.size_bytes) +
                        (record.grows ? ", grows as it is used" : ", fixed until it is resized"));
  lines.Add("subtrees", record.giant ? "1 GiB (giant)" : "2 MiB (huge)");
}

// Maps a fine morsel and returns how many of its subtrees one page fault maps whole.
Result<uint64_t> MappedHuge(OpenPool& pool, const CatalogRecord& record) {
  const Result<std::unique_ptr<Backing>> backing =
      pool.pool().Open(record.name, /*read_only=*/true);
  if (!backing) return backing.status();
  return pmem::CountMappedHuge(reinterpret_cast<const void*>(record.base),
                               record.size_bytes / kSubtreeBytes);
}

std::string HugeInWords(const CatalogRecord& record, const Result<uint64_t>& huge) {
  if (!huge) return std::string("unknown: ") + LastError();
  const uint64_t subtrees = record.size_bytes / kSubtreeBytes;
  return std::to_string(*huge * 100 / subtrees) + " % (" + std::to_string(*huge) + " of " +
         std::to_string(subtrees) + " subtrees)";
}

// Describes an image by its superblock only. `verify` checks the rest.
int InfoOfImage(const os::File& file, bool json) {
  const std::string& path = file.path();
  const CatalogRecord record = Must(RecordOf(path, file, Must(image::ImageFile::Peek(file))));
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) Must(FailErrno("'%s': fstat", path.c_str()));
  const auto file_bytes = static_cast<uint64_t>(status.st_size);
  const auto allocated_bytes = static_cast<uint64_t>(status.st_blocks) * 512;
  if (json) {
    nlohmann::ordered_json morsel = JsonOf(record, kPageBytes);
    // The granularity is the pool's, and an image is in no pool.
    morsel.erase("granularity_bytes");
    Print({{"file", path},
           {"file_bytes", file_bytes},
           {"allocated_bytes", allocated_bytes},
           {"morsel", morsel}});
    return kExitDone;
  }
  const bool fine = record.contract == Contract::kFine;
  Facts lines;
  lines.Add("image", Printable(path));
  lines.Add("id", FormatId(record.id));
  lines.Add("contract",
            fine ? "fine: for pools on persistent memory" : "snapshot: for directory pools");
  AddRange(record, lines);
  lines.Add("live", FormatSizeFully(record.live_bytes));
  lines.Add("generation", std::to_string(record.generation));
  lines.Add("codec", image::CodecName(record.codec));
  lines.Add("file", FormatSizeFully(file_bytes) + ", of which " + FormatSize(allocated_bytes) +
                        " are taken");
  lines.Add("mode", FormatMode(record.mode));
  lines.Add("owner", OwnerOf(record));
  lines.Add("what next",
            "`morselctl verify FILE` reads it whole, `import POOL FILE` brings it into a "
            "pool, `salvage FILE` finds what is intact");
  Print(lines.Text());
  return kExitDone;
}

// Returns the file at `path` if it is an image.
std::optional<os::File> ImageAt(const std::string& path) {
  const KeepLastError keep;
  Result<os::File> file = OpenRegularAt(os::KernelCalls(), path);
  if (!file) return std::nullopt;
  const Result<bool> is_image = image::LooksLikeImage(*file);
  if (!is_image || !*is_image) return std::nullopt;
  return std::move(*file);
}

int InfoOfMorsel(OpenPool& pool, const std::string& name, bool json) {
  const CatalogRecord record = FindMorsel(pool, name);
  const uint32_t granularity_bytes = pool.pool().granularity_bytes(record.contract);
  const bool fine = record.contract == Contract::kFine;
  const Result<uint64_t> huge = fine ? MappedHuge(pool, record) : 0;
  if (json) {
    nlohmann::ordered_json facts = JsonOf(record, granularity_bytes);
    if (fine && huge) facts["mapped_huge_subtrees"] = *huge;
    Print(facts);
    return kExitDone;
  }
  Facts lines;
  lines.Add("morsel", Printable(record.name));
  lines.Add("pool", Printable(pool.pool().path()));
  lines.Add("id", FormatId(record.id));
  lines.Add("contract", fine ? "fine: what is persisted is durable at once"
                             : "snapshot: a checkpoint makes all of it durable");
  lines.Add("granularity", GranularityInWords(granularity_bytes));
  AddRange(record, lines);
  if (fine) lines.Add("mapped huge", HugeInWords(record, huge));
  lines.Add("live", FormatSizeFully(record.live_bytes) +
                        (fine ? " at the last close" : " at the last checkpoint"));
  lines.Add("generation", std::to_string(record.generation) +
                              (fine ? " (checkpoints and closes)" : " (checkpoints)"));
  if (!fine) lines.Add("codec", image::CodecName(record.codec));
  lines.Add("mode", FormatMode(record.mode));
  lines.Add("owner", OwnerOf(record));
  Print(lines.Text());
  return kExitDone;
}

}  // namespace

void AddInfo(CLI::App& app, Invocation& invocation) {
  struct Arguments {
    std::string pool;
    std::string name;
  };
  CLI::App* const command =
      AddCommand(app, invocation, "info", "Say what a pool is, a morsel of it, or an image.",
                 "Examples:\n"
                 "  morselctl info /data/pool\n"
                 "  morselctl info /data/pool graph\n"
                 "  morselctl info graph.image");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("POOL", arguments->pool, "The path of a pool, or of an image.")->required();
  CLI::Option* const name = command->add_option("NAME", arguments->name, "A morsel of it.");
  command->callback([&invocation, arguments, name] {
    const bool has_name = name->count() > 0;
    invocation.run = [&invocation, arguments, has_name] {
      const std::optional<os::File> image = has_name ? std::nullopt : ImageAt(arguments->pool);
      if (image) return InfoOfImage(*image, invocation.json);
      const std::unique_ptr<OpenPool> pool = OpenPoolAt(arguments->pool, Access::kRead);
      return has_name ? InfoOfMorsel(*pool, arguments->name, invocation.json)
                      : InfoOfPool(*pool, invocation.json);
    };
  });
}

}  // namespace morsel::cli
