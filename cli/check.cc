// morselctl check: looks for damage in a pool and its morsels.
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/units.h"
#include "morsel/morsel.h"

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

std::string Sum(const morsel_check_info& info, uint64_t leading_out) {
  const std::string looked_at = Counted(info.morsels, "morsel") + ", " +
                                Counted(info.roots, "root") + ", " + FormatSize(info.live_bytes) +
                                " of live blocks";
  if (info.damages > 0) {
    return Counted(info.damages, "finding") + "; whole enough to be checked: " + looked_at;
  }
  if (info.obstacle != MORSEL_OK) return "not all could be checked; clean: " + looked_at;
  if (leading_out > 0) {
    return Counted(leading_out, "word") +
           " may lead out of a morsel, and nothing is damaged: " + looked_at;
  }
  return "clean: " + looked_at;
}

int AddName(const morsel_info* info, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(info->name);
  return 0;
}

/// The words that may be no pointers any more.
struct Pointers {
  std::string subject;
  std::vector<Finding>* findings;
  uint64_t leading_out = 0;
};

int AddPointer(const morsel_pointer* pointer, void* context) {
  auto& pointers = *static_cast<Pointers*>(context);
  pointers.findings->push_back({pointers.subject, pointer->message});
  if (pointer->to != MORSEL_TO_FREED) ++pointers.leading_out;
  return 0;
}

// Looks at the words of one morsel, or of all. Returns how many lead out of their morsel.
uint64_t CheckPointers(morsel_pool_t* pool, const std::string& name,
                       std::vector<Finding>& findings) {
  std::vector<std::string> names;
  if (name.empty()) {
    Must(morsel_list(pool, AddName, &names));
  } else {
    names.push_back(name);
  }
  uint64_t leading_out = 0;
  for (const std::string& one : names) {
    morsel_options how{};
    how.struct_size = sizeof how;
    how.flags = MORSEL_READ_ONLY;
    morsel_t* morsel = nullptr;
    Must(morsel_open(pool, one.c_str(), &how, &morsel));
    Pointers pointers{"morsel '" + one + "'", &findings};
    const morsel_code code = morsel_check_pointers(morsel, AddPointer, &pointers);
    Must(morsel_close(morsel));
    Must(code);
    leading_out += pointers.leading_out;
  }
  return leading_out;
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
  uint64_t leading_out = 0;
  const bool is_whole = info.damages == 0 && info.obstacle == MORSEL_OK;
  if (options.pointers && is_whole) leading_out = CheckPointers(pool.get(), name, findings);
  Value list = Value::List();
  std::string text;
  for (const Finding& finding : findings) {
    list.Add(Value().Set("subject", finding.subject).Set("sentence", finding.message));
    text += Printable(finding.subject) + ": " + Printable(finding.message) + "\n";
  }
  Value value = Value()
                    .Set("pool", options.pool)
                    .Set("clean", is_whole && leading_out == 0)
                    .Set("checked", Value()
                                        .Set("morsels", info.morsels)
                                        .Set("roots", info.roots)
                                        .Set("live_bytes", info.live_bytes))
                    .Set("findings", list);
  if (options.pointers && is_whole) value.Set("pointers_out", leading_out);
  if (options.pointers && !is_whole) text += "where words lead was not looked at\n";
  printer.Print(value, text + Sum(info, leading_out) + "\n");
  return info.damages > 0 || leading_out > 0 ? kExitDamage
                                             : ExitCodeOf(static_cast<morsel_code>(info.obstacle));
}

}  // namespace morsel::cli
