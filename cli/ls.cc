// morselctl ls: lists the morsels of a pool.
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/record.h"
#include "cli/units.h"

namespace morsel::cli {
namespace {

int AddInfo(const morsel_info* info, void* infos) {
  static_cast<std::vector<morsel_info>*>(infos)->push_back(*info);
  return 0;
}

struct Unreadable {
  std::string name;
  morsel_code code;
  std::string message;
  bool IsDamaged() const { return code == MORSEL_CORRUPT || code == MORSEL_IO; }
  /// It may be whole, and it may be no morsel.
  bool IsForbidden() const { return code == MORSEL_PERMISSION; }
  /// Its name is one that no morsel can have.
  bool IsMisnamed() const { return code == MORSEL_INVALID_ARGUMENT; }
};

int AddUnreadable(const char* name, morsel_code code, const char* message, void* all) {
  static_cast<std::vector<Unreadable>*>(all)->push_back({SpellingOf(name), code, message});
  return 0;
}

void WarnOf(const Unreadable& one, const std::string& pool, const Printer& printer) {
  const std::string subject = "morsel '" + one.name + "' is ";
  printer.PrintWarning(one.IsDamaged() ? subject + "damaged and not listed; `morselctl check " +
                                             pool + "` says how"
                                       : subject + "not listed: " + one.message);
}

// Damage is told first: it may be news.
int ExitCodeOf(const std::vector<Unreadable>& all) {
  int exit_code = kExitDone;
  for (const Unreadable& one : all) {
    if (one.IsDamaged() || one.IsMisnamed()) return kExitDamage;
    if (one.IsForbidden()) continue;
    exit_code = cli::ExitCodeOf(one.code);
  }
  return exit_code;
}

std::string TableOf(const std::vector<morsel_info>& infos,
                    const std::vector<Unreadable>& unreadable) {
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
  for (const morsel_info& info : infos) {
    table.Add({SpellingOf(info.name), ContractName(info), FormatSize(info.size_bytes),
               FormatSize(info.capacity_bytes), FormatSize(info.live_bytes),
               FormatAddress(BaseOf(info)), std::to_string(info.generation), FormatMode(info.mode),
               OwnerOf(info)});
  }
  for (const Unreadable& one : unreadable) {
    if (one.IsForbidden()) table.Add({one.name, "not readable by you", "", "", "", "", "", "", ""});
  }
  return table.Text();
}

}  // namespace

int Ls(const LsOptions& options, const Printer& printer) {
  const PoolHandle pool = OpenPoolAt(options.pool, Access::kRead);
  std::vector<morsel_info> infos;
  Must(morsel_list(pool.get(), AddInfo, &infos));
  std::vector<Unreadable> unreadable;
  Must(morsel_list_unreadable(pool.get(), AddUnreadable, &unreadable));
  Value morsels = Value::List();
  for (const morsel_info& info : infos) morsels.Add(ValueOf(info));
  Value damaged = Value::List();
  Value others = Value::List();
  for (const Unreadable& one : unreadable) {
    if (one.IsDamaged()) damaged.Add(one.name);
    others.Add(Value()
                   .Set("name", one.name)
                   .Set("code", morsel_code_name(one.code))
                   .Set("message", one.message));
  }
  printer.Print(Value()
                    .Set("pool", options.pool)
                    .Set("morsels", morsels)
                    .Set("damaged", damaged)
                    .Set("unreadable", others),
                TableOf(infos, unreadable));
  for (const Unreadable& one : unreadable) {
    if (!one.IsForbidden()) WarnOf(one, options.pool, printer);
  }
  if (infos.empty() && unreadable.empty()) {
    printer.PrintWarning("pool '" + options.pool + "' has no morsels");
  }
  return ExitCodeOf(unreadable);
}

}  // namespace morsel::cli
