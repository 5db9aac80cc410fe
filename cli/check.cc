// morselctl check: looks for damage in a pool and its morsels.
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/units.h"

namespace morsel::cli {
namespace {

struct Finding {
  std::string subject;
  std::string message;
};

void AddFinding(const morsel_finding* finding, void* findings) {
  static_cast<std::vector<Finding>*>(findings)->push_back({finding->subject, finding->message});
}

std::string Counted(uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string Sum(const morsel_check_info& info) {
  const std::string looked_at = Counted(info.morsels, "morsel") + ", " +
                                Counted(info.roots, "root") + ", " + FormatSize(info.live_bytes) +
                                " of live blocks";
  if (info.damages > 0) {
    return Counted(info.damages, "finding") + "; whole enough to be checked: " + looked_at;
  }
  if (info.obstacle != MORSEL_OK) return "not all could be checked; clean: " + looked_at;
  return "clean: " + looked_at;
}

}  // namespace

int Check(const CheckOptions& options, const Printer& printer) {
  if (options.name && options.name->empty()) {
    throw Failure{MORSEL_INVALID_ARGUMENT, "'' cannot name a morsel: it is empty"};
  }
  const PoolHandle pool = OpenPoolAt(options.pool, Access::kRead);
  std::vector<Finding> findings;
  morsel_check_info info{};
  info.struct_size = sizeof info;
  const std::string name = options.name ? NameMeant(pool.get(), *options.name) : "";
  Must(morsel_check(pool.get(), options.name ? name.c_str() : nullptr, AddFinding, &findings,
                    &info));
  Value list = Value::List();
  std::string text;
  for (const Finding& finding : findings) {
    list.Add(Value().Set("subject", finding.subject).Set("sentence", finding.message));
    text += Printable(finding.subject) + ": " + Printable(finding.message) + "\n";
  }
  printer.Print(Value()
                    .Set("pool", options.pool)
                    .Set("clean", info.damages == 0 && info.obstacle == MORSEL_OK)
                    .Set("checked", Value()
                                        .Set("morsels", info.morsels)
                                        .Set("roots", info.roots)
                                        .Set("live_bytes", info.live_bytes))
                    .Set("findings", list),
                text + Sum(info) + "\n");
  return info.damages > 0 ? kExitDamage : ExitCodeOf(static_cast<morsel_code>(info.obstacle));
}

}  // namespace morsel::cli
