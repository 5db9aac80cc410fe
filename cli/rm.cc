// morselctl rm: removes morsels, after asking.
#include <unistd.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/units.h"
#include "morsel/open/open_options.h"

namespace morsel::cli {
namespace {

struct Arguments {
  std::string pool;
  std::vector<std::string> names;
  bool yes = false;
};

// Says what will be lost with the morsel, as far as the pool knows. A damaged morsel can be
// removed, too.
std::string Loss(OpenPool& pool, const std::string& name) {
  Must(CheckMorselName(name.c_str()));
  const Result<CatalogRecord> record = pool.pool().Find(name);
  if (record) return FormatSize(record->live_bytes) + " live";
  if (record.error() == Code::kCorrupt || record.error() == Code::kVersion) return "damaged";
  throw Failure{record.error(), LastError()};
}

// Asks the user. Anything but a clear yes means no.
bool Asked(const std::string& question) {
  std::cerr << "morselctl: " << Printable(question) << " [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

int Rm(const Arguments& arguments, bool json) {
  if (!arguments.yes && isatty(STDIN_FILENO) == 0) {
    throw Failure{Code::kInvalidArgument,
                  "rm asks before it removes, and nobody is there to answer (standard input is no "
                  "terminal): say --yes"};
  }
  const std::unique_ptr<OpenPool> pool = OpenPoolAt(arguments.pool, Access::kWrite);
  // All names are looked up first, so that a mistyped one is found before anything is removed.
  std::vector<std::string> losses;
  for (const std::string& name : arguments.names) losses.push_back(Loss(*pool, name));
  std::vector<std::string> removed;
  std::string text;
  for (size_t i = 0; i < arguments.names.size(); ++i) {
    const std::string& name = arguments.names[i];
    if (!arguments.yes && !Asked("remove morsel '" + name + "' of pool '" + arguments.pool + "' (" +
                                 losses[i] + ") for good?")) {
      continue;
    }
    if (const Status status = pool->Remove(name.c_str()); !status.ok()) {
      Failure failure{status.code(), LastError()};
      for (const std::string& gone : removed) failure.message += "; '" + gone + "' was removed";
      throw failure;
    }
    removed.push_back(name);
    text += "removed '" + Printable(name) + "'\n";
  }
  if (json) {
    Print(nlohmann::ordered_json{{"pool", arguments.pool}, {"removed", removed}});
  } else {
    Print(text);
  }
  return kExitDone;
}

}  // namespace

void AddRm(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "rm", "Remove morsels and what is in them, for good.",
      "On a terminal each is asked about; no answer is a no. Elsewhere --yes is required,\n"
      "so that a script neither waits nor loses anything by accident.");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("POOL", arguments->pool, "The pool's path.")->required();
  command->add_option("NAME", arguments->names, "Morsels of it.")->required();
  command->add_flag("-y,--yes", arguments->yes, "Do not ask.");
  command->callback([&invocation, arguments] {
    invocation.run = [&invocation, arguments] { return Rm(*arguments, invocation.json); };
  });
}

}  // namespace morsel::cli
