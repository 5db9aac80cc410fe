// morselctl check: looks for damage in a pool and its morsels.
#include "morsel/check/check.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/units.h"

namespace morsel::cli {
namespace {

struct Arguments {
  std::string pool;
  std::string name;
};

std::string Counted(uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string Sum(const CheckSummary& summary) {
  const std::string looked_at = Counted(summary.morsels, "morsel") + ", " +
                                Counted(summary.roots, "root") + ", " +
                                FormatSize(summary.live_bytes) + " of live blocks";
  if (summary.damages > 0) {
    return Counted(summary.damages, "finding") + "; whole enough to be checked: " + looked_at;
  }
  if (summary.obstacle != Code::kOk) return "not all could be checked; clean: " + looked_at;
  return "clean: " + looked_at;
}

int CheckIt(const Arguments& arguments, bool json) {
  const std::unique_ptr<OpenPool> pool = OpenPoolAt(arguments.pool, Access::kRead);
  std::vector<Finding> findings;
  const CheckSummary summary = Must(CheckPool(
      pool->pool(), arguments.name, [&](const Finding& finding) { findings.push_back(finding); }));
  if (json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Finding& finding : findings) {
      list.push_back({{"subject", finding.subject}, {"sentence", finding.message}});
    }
    Print(nlohmann::ordered_json{{"pool", arguments.pool},
                                 {"clean", summary.damages == 0 && summary.obstacle == Code::kOk},
                                 {"checked",
                                  {{"morsels", summary.morsels},
                                   {"roots", summary.roots},
                                   {"live_bytes", summary.live_bytes}}},
                                 {"findings", list}});
  } else {
    std::string text;
    for (const Finding& finding : findings) {
      text += Printable(finding.subject) + ": " + Printable(finding.message) + "\n";
    }
    Print(text + Sum(summary) + "\n");
  }
  return summary.damages > 0 ? kExitDamage : ExitCodeOf(summary.obstacle);
}

}  // namespace

void AddCheck(CLI::App& app, Invocation& invocation) {
  CLI::App* const command =
      AddCommand(app, invocation, "check", "Look for damage in a pool, or in one morsel of it.",
                 "Reads everything that a program would have to believe, images whole. Nothing is\n"
                 "changed, and other readers may go on. Exits with 1 where something is damaged;\n"
                 "with the code of the reason where a morsel could not be looked at.");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("POOL", arguments->pool, "The pool's path.")->required();
  CLI::Option* const name = command->add_option(
      "NAME", arguments->name, "Only what concerns this morsel, or the pool as a whole.");
  command->callback([&invocation, arguments, name] {
    const bool empty_name = name->count() > 0 && arguments->name.empty();
    invocation.run = [&invocation, arguments, empty_name] {
      if (empty_name) throw Failure{Code::kInvalidArgument, "'' cannot name a morsel: it is empty"};
      return CheckIt(*arguments, invocation.json);
    };
  });
}

}  // namespace morsel::cli
