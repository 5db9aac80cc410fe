// morselctl resize: grows or shrinks a morsel inside its capacity.
#include <memory>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool.h"
#include "cli/progress_bar.h"
#include "cli/record.h"
#include "cli/units.h"

namespace morsel::cli {
namespace {

void LeaveAsItWasAndThrow(morsel_t* morsel, morsel_code code) {
  const Failure failure{code, morsel_last_error()};
  (void)morsel_discard(morsel);
  throw failure;
}

}  // namespace

int Resize(const ResizeOptions& asked, const Printer& printer) {
  const PoolHandle pool = OpenPoolAt(asked.pool, Access::kChange);
  const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
  const morsel_options options = WithProgress({}, bar.get());
  morsel_t* morsel = nullptr;
  const std::string name = NameMeant(pool.get(), asked.name);
  Must(morsel_open(pool.get(), name.c_str(), &options, &morsel));
  const uint64_t before = morsel_size(morsel);
  morsel_code code = morsel_resize(morsel, asked.size_bytes);
  // For a snapshot morsel the checkpoint of this close makes the new size durable.
  if (code == MORSEL_OK) code = morsel_close(morsel);
  if (code != MORSEL_OK) LeaveAsItWasAndThrow(morsel, code);
  const morsel_info info = FindMorsel(pool.get(), name);
  printer.PrintDone(ValueOf(info), "morsel '" + SpellingOf(info.name) + "' has " +
                                       FormatSize(info.size_bytes) + " now, before " +
                                       FormatSize(before) + "\n");
  return kExitDone;
}

}  // namespace morsel::cli
