// morselctl export and import: writes a morsel as an image, and makes a morsel of an image.
#include <sys/stat.h>

#include <memory>
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/progress_bar.h"
#include "cli/record.h"
#include "cli/units.h"

namespace morsel::cli {
namespace {

// The file's group; `otherwise`, if it is gone.
uint32_t GroupOf(const std::string& file, uint32_t otherwise) {
  struct stat status;
  return stat(file.c_str(), &status) == 0 ? status.st_gid : otherwise;
}

}  // namespace

int Export(const ExportOptions& asked, const Printer& printer) {
  const PoolHandle pool = OpenPoolAt(asked.pool, Access::kRead);
  const std::string name = NameMeant(pool.get(), asked.name);
  std::vector<std::string> findings;
  {
    const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
    const ShowingProgress showing(bar.get());
    morsel_export_options options{};
    options.struct_size = sizeof options;
    if (asked.salvage) {
      options.flags |= MORSEL_SALVAGE;
      options.skipped = AddMessage;
      options.skipped_context = &findings;
    }
    if (asked.codec) {
      options.flags |= MORSEL_RECODE;
      options.codec = *asked.codec;
    }
    Must(morsel_export_with(pool.get(), name.c_str(), asked.file.c_str(), &options));
  }
  Value report;
  report.Set("pool", asked.pool).Set("name", SpellingOf(name)).Set("file", SpellingOf(asked.file));
  if (asked.salvage) report.Set("findings", findings);
  std::string text = LinesOf(findings);
  text += findings.empty() ? "" : "zeros are there instead, and all else is as it was: ";
  text += "morsel '" + SpellingOf(name) + "' is in '" + SpellingOf(asked.file) + "'\n";
  printer.PrintDone(report, text);
  morsel_info info{};
  info.struct_size = sizeof info;
  if (morsel_find(pool.get(), name.c_str(), &info) == MORSEL_OK) {
    WarnOfGroup("'" + asked.file + "'", info.group, GroupOf(asked.file, info.group), printer);
  }
  return findings.empty() ? kExitDone : kExitDamage;
}

int Import(const ImportOptions& asked, const Printer& printer) {
  const PoolHandle pool = OpenPoolAt(asked.pool, Access::kAdd);
  Moving moving;
  const morsel_rebase_options rebase = moving.Options(asked.base, asked.capacity_bytes);
  morsel_import_options options{};
  options.struct_size = sizeof options;
  options.flags = (asked.replace ? MORSEL_REPLACE : 0) | (asked.rebase ? MORSEL_REBASE : 0);
  options.name = asked.name ? asked.name->c_str() : nullptr;
  options.rebase = &rebase;
  {
    const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
    const ShowingProgress showing(bar.get());
    Must(morsel_import_with(pool.get(), asked.file.c_str(), &options, &moving.info));
  }
  const morsel_info info = FindMorsel(pool.get(), moving.info.name);
  Value report = ValueOf(info);
  const bool is_moved = moving.info.base != moving.info.base_before;
  if (is_moved) moving.AddTo(report);
  printer.PrintDone(report, (is_moved ? moving.Lines() : "") + "morsel '" + SpellingOf(info.name) +
                                "' is in pool '" + Printable(asked.pool) + "', at " +
                                FormatAddress(BaseOf(info)) + "\n");
  // Of one that has moved the library has said it.
  if (!is_moved) {
    WarnOfGroup("morsel '" + SpellingOf(info.name) + "'", GroupOf(asked.file, info.group),
                info.group, printer);
  }
  return kExitDone;
}

}  // namespace morsel::cli
