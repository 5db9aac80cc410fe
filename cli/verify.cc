// morselctl verify: looks for damage in an image.
#include <memory>
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/record.h"
#include "cli/units.h"
#include "morsel/tools.h"

namespace morsel::cli {
namespace {

struct Verified {
  bool was_opened;  // so that its superblock can be believed
  bool is_clean;    // what is found then is worth knowing, and no damage
};

Verified FindDamage(const std::string& path, std::vector<std::string>& findings) {
  const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
  const ShowingProgress showing(bar.get());
  const morsel_code code = morsel_verify(path.c_str(), AddMessage, &findings);
  if (code != MORSEL_CORRUPT) Must(code);
  const bool was_opened = code == MORSEL_OK || !findings.empty();
  // If the image does not open, no subtree can be found, and one message is all there is to say.
  if (!was_opened) findings.emplace_back(morsel_last_error());
  return {was_opened, code == MORSEL_OK};
}

}  // namespace

int Verify(const VerifyOptions& options, const Printer& printer) {
  std::vector<std::string> findings;
  const auto [was_opened, is_clean] = FindDamage(options.file, findings);
  Value report;
  report.Set("file", options.file).Set("clean", is_clean).Set("findings", findings);
  std::string text = LinesOf(findings);
  if (was_opened) {
    morsel_info info{};
    info.struct_size = sizeof info;
    Must(morsel_stat_image(options.file.c_str(), &info));
    report.Set("morsel", ValueOfImage(options.file, info));
    if (is_clean) {
      text += "clean: a morsel under the " + std::string(ContractName(info)) + " contract, " +
              FormatSize(info.size_bytes) + " of " + FormatSize(info.capacity_bytes) + " at " +
              FormatAddress(BaseOf(info)) + ", generation " + std::to_string(info.generation) +
              "\n";
    }
  }
  printer.Print(report, text);
  return is_clean ? kExitDone : kExitDamage;
}

}  // namespace morsel::cli
