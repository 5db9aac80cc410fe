// morselctl rename: gives a morsel another name.
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/units.h"

namespace morsel::cli {

// The morsel is not read, so that one that is damaged or has an impossible name gets another, too.
int Rename(const RenameOptions& options, const Printer& printer) {
  const PoolHandle pool = OpenPoolAt(options.pool, Access::kChange);
  const std::string name = NameMeant(pool.get(), options.name);
  Must(morsel_rename(pool.get(), name.c_str(), options.to.c_str()));
  const std::string before = SpellingOf(name);
  const std::string now = SpellingOf(options.to);
  printer.PrintDone(Value().Set("pool", options.pool).Set("name", now).Set("before", before),
                    "morsel '" + before + "' is '" + now + "' now\n");
  return kExitDone;
}

}  // namespace morsel::cli
