// morselctl rebase and copy: give a morsel another address, or a copy of it.
#include <memory>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/progress_bar.h"
#include "cli/record.h"
#include "cli/units.h"

namespace morsel::cli {
int Rebase(const RebaseOptions& asked, const Printer& printer) {
  const PoolHandle pool = OpenPoolAt(asked.pool, asked.dry_run ? Access::kRead : Access::kChange);
  const std::string name = NameMeant(pool.get(), asked.name);
  Moving moving;
  morsel_rebase_options options = moving.Options(asked.base, asked.capacity_bytes);
  if (asked.dry_run) options.flags |= MORSEL_DRY_RUN;
  {
    const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
    const ShowingProgress showing(bar.get());
    Must(morsel_rebase(pool.get(), name.c_str(), &options, &moving.info));
  }
  const morsel_rebase_info& info = moving.info;
  const std::string before = FormatAddress(reinterpret_cast<uint64_t>(info.base_before));
  const bool is_chosen = info.base != nullptr;
  const std::string now = FormatAddress(reinterpret_cast<uint64_t>(info.base));
  Value report;
  report.Set("pool", asked.pool)
      .Set("name", SpellingOf(name))
      .Set("dry_run", asked.dry_run)
      .Set("base_before", before)
      .Set("base", is_chosen ? now : "")
      .Set("capacity_before", info.capacity_before)
      .Set("capacity_bytes", info.capacity_bytes)
      .Set("size_bytes", info.size_bytes);
  moving.AddTo(report);
  std::string text = moving.Lines() + "morsel '" + SpellingOf(name) + "' ";
  text += asked.dry_run ? "would be at " : "is at ";
  text += is_chosen ? now : "an address that the pool chooses";
  text += (asked.dry_run ? ", is at " : " now, before ") + before;
  if (info.capacity_bytes != info.capacity_before) {
    text += ", with a capacity of " + FormatSize(info.capacity_bytes) + ", before " +
            FormatSize(info.capacity_before);
  }
  if (asked.dry_run) {
    printer.Print(report, text + "\n");
  } else {
    printer.PrintDone(report, text + "\n");
  }
  return kExitDone;
}

int Copy(const CopyOptions& asked, const Printer& printer) {
  const PoolHandle pool = OpenPoolAt(asked.pool, Access::kChange);
  const std::string name = NameMeant(pool.get(), asked.name);
  Moving moving;
  const morsel_rebase_options options = moving.Options(0, 0);
  {
    const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
    const ShowingProgress showing(bar.get());
    Must(morsel_copy(pool.get(), name.c_str(), asked.to.c_str(), &options, &moving.info));
  }
  const morsel_info copy = FindMorsel(pool.get(), asked.to);
  Value report = ValueOf(copy);
  moving.AddTo(report);
  printer.PrintDone(report, moving.Lines() + "morsel '" + SpellingOf(asked.to) +
                                "' is a copy of '" + SpellingOf(name) + "', at " +
                                FormatAddress(BaseOf(copy)) + "\n");
  return kExitDone;
}

}  // namespace morsel::cli
