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

// What this process may not read may be whole.
int AddDamaged(const char* name, morsel_code code, const char*, void* damaged) {
  if (code == MORSEL_PERMISSION) return 0;
  static_cast<std::vector<std::string>*>(damaged)->emplace_back(name);
  return 0;
}

std::string TableOf(const std::vector<morsel_info>& infos) {
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
    table.Add({Printable(info.name), ContractName(info), FormatSize(info.size_bytes),
               FormatSize(info.capacity_bytes), FormatSize(info.live_bytes),
               FormatAddress(BaseOf(info)), std::to_string(info.generation), FormatMode(info.mode),
               OwnerOf(info)});
  }
  return table.Text();
}

}  // namespace

int Ls(const LsOptions& options, const Printer& printer) {
  const PoolHandle pool = OpenPoolAt(options.pool, Access::kRead);
  std::vector<morsel_info> infos;
  Must(morsel_list(pool.get(), AddInfo, &infos));
  std::vector<std::string> damaged;
  Must(morsel_list_unreadable(pool.get(), AddDamaged, &damaged));
  Value morsels = Value::List();
  for (const morsel_info& info : infos) morsels.Add(ValueOf(info));
  printer.Print(Value().Set("pool", options.pool).Set("morsels", morsels).Set("damaged", damaged),
                TableOf(infos));
  for (const std::string& name : damaged) {
    printer.PrintWarning("morsel '" + name + "' is damaged and not listed; `morselctl check " +
                         options.pool + "` says how");
  }
  if (infos.empty() && damaged.empty()) {
    printer.PrintWarning("pool '" + options.pool + "' has no morsels");
  }
  return kExitDone;
}

}  // namespace morsel::cli
