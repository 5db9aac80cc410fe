// morselctl rm: removes morsels, after asking.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/units.h"

namespace morsel::cli {
namespace {

// Says what will be lost with the morsel, as far as the pool knows. A damaged morsel can be
// removed, too.
std::string Loss(morsel_pool_t* pool, const std::string& name) {
  morsel_info info{};
  info.struct_size = sizeof info;
  const morsel_code code = morsel_find(pool, name.c_str(), &info);
  if (code == MORSEL_CORRUPT) return "damaged";
  if (code == MORSEL_VERSION) return "of another version";
  const Failure failure{code, morsel_last_error()};
  if (code == MORSEL_INVALID_ARGUMENT && IsListedUnreadable(pool, name))
    return "of an impossible name";
  if (code != MORSEL_OK) throw failure;
  return FormatSize(info.live_bytes) + " live";
}

// Asks the user. Anything but a clear yes means no.
bool Asked(const std::string& question) {
  std::fprintf(stderr, "morselctl: %s [y/N] ", Printable(question).c_str());
  const std::string answer = ReadLine();
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace

int Rm(const RmOptions& options, const Printer& printer) {
  if (!options.yes && isatty(STDIN_FILENO) == 0) {
    throw Failure{MORSEL_INVALID_ARGUMENT,
                  "rm asks before it removes, and nobody is there to answer (standard input is no "
                  "terminal): say --yes"};
  }
  const PoolHandle pool = OpenPoolAt(options.pool, Access::kChange);
  // All names are looked up first, so that a mistyped one is found before anything is removed.
  std::vector<std::string> names;
  std::vector<std::string> losses;
  for (const std::string& typed : options.names) {
    const std::string name = NameMeant(pool.get(), typed);
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    names.push_back(name);
    losses.push_back(Loss(pool.get(), names.back()));
  }
  std::vector<std::string> removed;
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    const std::string spelling = SpellingOf(name);
    if (!options.yes && !Asked("remove morsel '" + spelling + "' of pool '" + options.pool + "' (" +
                               losses[i] + ") for good?")) {
      continue;
    }
    if (const morsel_code code = morsel_remove(pool.get(), name.c_str()); code != MORSEL_OK) {
      Failure failure{code, morsel_last_error()};
      for (const std::string& gone : removed) failure.message += "; '" + gone + "' was removed";
      throw failure;
    }
    removed.push_back(spelling);
    text += "removed '" + spelling + "'\n";
  }
  const Value report = Value().Set("pool", options.pool).Set("removed", removed);
  if (removed.empty()) {
    printer.Print(report, text);
  } else {
    printer.PrintDone(report, text);
  }
  return kExitDone;
}

}  // namespace morsel::cli
