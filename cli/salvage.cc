// morselctl salvage: finds what is intact in a damaged image.
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/units.h"
#include "morsel/pool/image_file_at.h"

namespace morsel::cli {
namespace {

struct Arguments {
  std::string file;
  std::string to;
};

int Salvage(const Arguments& arguments, bool json) {
  std::vector<std::string> findings;
  uint64_t intact_bytes = 0;
  {
    const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
    intact_bytes = Must(SalvageImage(
        os::KernelCalls(), arguments.file, arguments.to,
        [&](const char* message) { findings.emplace_back(message); }, ProgressOf(bar.get())));
  }
  if (json) {
    nlohmann::ordered_json report = {{"file", arguments.file},
                                     {"clean", findings.empty()},
                                     {"findings", findings},
                                     {"intact_bytes", intact_bytes}};
    if (!arguments.to.empty()) report["to"] = arguments.to;
    Print(report);
  } else {
    std::string text;
    for (const std::string& finding : findings) text += Printable(finding) + "\n";
    text += findings.empty() ? "nothing is damaged"
                             : "all else, " + FormatSize(intact_bytes) + " of memory, is intact";
    if (!arguments.to.empty()) text += ", and in '" + Printable(arguments.to) + "'";
    Print(text + "\n");
  }
  return findings.empty() ? kExitDone : kExitDamage;
}

}  // namespace

void AddSalvage(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "salvage", "Find what is intact of a damaged image.",
      "Lists what is damaged, by subtree and address range. With --to, all else is written as an\n"
      "image that opens, in which what is damaged is zero. Exits with 1 where something is\n"
      "damaged; with 17 where nothing can be found.");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("FILE", arguments->file, "The image, which is only read.")->required();
  command->add_option("--to", arguments->to, "The file to make of what is intact.")
      ->type_name("FILE");
  command->callback([&invocation, arguments] {
    invocation.run = [&invocation, arguments] { return Salvage(*arguments, invocation.json); };
  });
}

}  // namespace morsel::cli
