// morselctl ls: lists the morsels of a pool.
#include <fcntl.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/record.h"
#include "cli/units.h"
#include "image/format/superblock.h"
#include "os/file/directory.h"
#include "pmem/media/path_kind.h"

namespace morsel::cli {
namespace {

std::string TableOf(const std::vector<CatalogRecord>& records) {
  using enum Table::Align;
  Table table({{"NAME", kLeft},
               {"CONTRACT", kLeft},
               {"SIZE", kRight},
               {"CAPACITY", kRight},
               {"LIVE", kRight},
               {"BASE", kLeft},
               {"GENERATION", kRight},
               {"MODE", kLeft},
               {"OWNER", kLeft}});
  for (const CatalogRecord& record : records) {
    table.Add({Printable(record.name), ContractName(record), FormatSize(record.size_bytes),
               FormatSize(record.capacity_bytes), FormatSize(record.live_bytes),
               FormatAddress(record.base), std::to_string(record.generation),
               FormatMode(record.mode), OwnerOf(record)});
  }
  return table.Text();
}

// Returns the names of damaged morsels that List() leaves out: files of a directory pool that begin
// like an image but cannot be read as one. In a carved pool a damaged slot has no name that could
// be believed.
std::vector<std::string> DamagedIn(impl::Pool& pool, const std::vector<CatalogRecord>& records) {
  std::vector<std::string> damaged;
  if (Must(pmem::KindOfPath(pool.path())) != pmem::PathKind::kDirectory) return damaged;
  const os::Directory directory = Must(os::Directory::Open(os::KernelCalls(), pool.path()));
  for (const std::string& name : Must(directory.Names())) {
    const auto is_it = [&](const CatalogRecord& record) { return record.name == name; };
    if (name.starts_with(".") || std::any_of(records.begin(), records.end(), is_it)) continue;
    const Result<os::File> file = directory.OpenFile(name, O_RDONLY);
    if (!file) continue;
    const Result<bool> is_image = image::LooksLikeImage(*file);
    if (is_image && *is_image) damaged.push_back(name);
  }
  return damaged;
}

int Ls(const std::string& path, bool json) {
  const std::unique_ptr<OpenPool> pool = OpenPoolAt(path, Access::kRead);
  const std::vector<CatalogRecord> records = Must(pool->pool().List());
  const std::vector<std::string> damaged = DamagedIn(pool->pool(), records);
  if (json) {
    nlohmann::ordered_json morsels = nlohmann::ordered_json::array();
    for (const CatalogRecord& record : records) {
      morsels.push_back(JsonOf(record, pool->pool().granularity_bytes(record.contract)));
    }
    Print(nlohmann::ordered_json{{"pool", path}, {"morsels", morsels}, {"damaged", damaged}});
    return kExitDone;
  }
  Print(TableOf(records));
  for (const std::string& name : damaged) {
    PrintError("morsel '" + name + "' is damaged and not listed; `morselctl check " + path +
               "` says how");
  }
  if (records.empty() && damaged.empty()) PrintError("pool '" + path + "' has no morsels");
  return kExitDone;
}

}  // namespace

void AddLs(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "ls", "List the morsels of a pool, by name.",
      "LIVE is what was allocated at the last checkpoint or close. A morsel that is too\n"
      "damaged to be listed is named on standard error; `morselctl check` says more.");
  const auto path = std::make_shared<std::string>();
  command->add_option("POOL", *path, "The pool's path.")->required();
  command->callback([&invocation, path] {
    invocation.run = [&invocation, path] { return Ls(*path, invocation.json); };
  });
}

}  // namespace morsel::cli
