// morselctl resize: grows or shrinks a morsel inside its capacity.
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/record.h"
#include "cli/units.h"

namespace morsel::cli {
namespace {

struct Arguments {
  std::string pool;
  std::string name;
  uint64_t size_bytes = 0;
};

int Resize(const Arguments& arguments, bool json) {
  const std::unique_ptr<OpenPool> pool = OpenPoolAt(arguments.pool, Access::kWrite);
  const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
  const morsel_options options = WithProgress({}, bar.get());
  OpenMorsel* const morsel = Must(pool->OpenMorselNamed(arguments.name.c_str(), &options));
  const uint64_t before = morsel->size_bytes();
  const auto otherwise_leave_as_it_was = [&](Status status) {
    if (status.ok()) return;
    const Failure failure{status.code(), LastError()};
    (void)pool->Close(morsel, /*discard=*/true);
    throw failure;
  };
  otherwise_leave_as_it_was(morsel->Resize(arguments.size_bytes));
  // For a snapshot morsel the checkpoint of this close makes the new size durable.
  otherwise_leave_as_it_was(pool->Close(morsel, /*discard=*/false));
  const CatalogRecord record = FindMorsel(*pool, arguments.name);
  if (json) {
    Print(JsonOf(record, pool->pool().granularity_bytes(record.contract)));
  } else {
    Print("morsel '" + Printable(record.name) + "' has " + FormatSize(record.size_bytes) +
          " now, before " + FormatSize(before) + "\n");
  }
  return kExitDone;
}

}  // namespace

void AddResize(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "resize", "Grow or shrink a morsel inside its capacity.",
      "SIZE is rounded up to whole subtrees (2 MiB, giant ones 1 GiB). A morsel shrinks\n"
      "only as far as nothing is in use behind its new end.");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("POOL", arguments->pool, "The pool's path.")->required();
  command->add_option("NAME", arguments->name, "A morsel of it.")->required();
  AddSize(command, "SIZE", &arguments->size_bytes, "The new size, e.g. 64M.")->required();
  command->callback([&invocation, arguments] {
    invocation.run = [&invocation, arguments] { return Resize(*arguments, invocation.json); };
  });
}

}  // namespace morsel::cli
