// morselctl salvage: finds what is intact in a damaged image.
#include <memory>
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/units.h"
#include "morsel/tools.h"

namespace morsel::cli {

int Salvage(const SalvageOptions& options, const Printer& printer) {
  std::vector<std::string> findings;
  uint64_t intact_bytes = 0;
  {
    const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
    const ShowingProgress showing(bar.get());
    Must(morsel_salvage_counted(options.file.c_str(),
                                options.to.empty() ? nullptr : options.to.c_str(), AddMessage,
                                &findings, &intact_bytes));
  }
  Value report;
  report.Set("file", options.file)
      .Set("clean", findings.empty())
      .Set("findings", findings)
      .Set("intact_bytes", intact_bytes);
  if (!options.to.empty()) report.Set("to", SpellingOf(options.to));
  std::string text = LinesOf(findings);
  if (findings.empty()) {
    text += "nothing is damaged";
  } else if (intact_bytes == 0) {
    text += "nothing else is sure to be as it was checkpointed last";
  } else {
    text += "all else, " + FormatSize(intact_bytes) + " of memory, is intact";
  }
  if (!options.to.empty()) text += ", and in '" + SpellingOf(options.to) + "'";
  printer.Print(report, text + "\n");
  return findings.empty() ? kExitDone : kExitDamage;
}

}  // namespace morsel::cli
