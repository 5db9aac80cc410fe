// morselctl format: makes a device-dax device a pool.
#include <unistd.h>

#include <cstdio>
#include <string>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool_facts.h"

namespace morsel::cli {
namespace {

std::string NameOf(const std::string& device) { return device.substr(device.rfind('/') + 1); }

// Throws a Failure unless the user has typed the device's name. Whoever destroys data must name the
// device, so that a slip of the fingers destroys nothing.
void MustBeMeant(const FormatOptions& options, bool can_ask) {
  const std::string name = NameOf(options.device);
  std::string typed = options.yes_destroy;
  if (typed.empty() && can_ask && isatty(STDIN_FILENO) != 0) {
    std::printf("What '%s' holds will be lost. Type its name, %s, to go on: ",
                Printable(options.device).c_str(), Printable(name).c_str());
    std::fflush(stdout);
    typed = ReadLine();
  }
  if (typed == name) return;
  throw Failure{MORSEL_INVALID_ARGUMENT,
                typed.empty() ? "--force destroys what '" + options.device +
                                    "' holds: say so with --yes-destroy " + name
                              : "'" + typed + "' is not the name of '" + options.device +
                                    "': nothing was done; it is " + name};
}

}  // namespace

int Format(const FormatOptions& options, const Printer& printer) {
  if (!options.force && !options.yes_destroy.empty()) {
    throw Failure{MORSEL_INVALID_ARGUMENT, "--yes-destroy means nothing without --force"};
  }
  if (options.force) MustBeMeant(options, /*can_ask=*/!printer.json());
  Must(morsel_format(options.device.c_str(), options.force ? MORSEL_DESTROY : 0));
  printer.PrintDone(Value().Set("pool", options.device).Set("kind", "carved"),
                    "made the device '" + Printable(options.device) + "' a carved pool\n");
  WarnOfPowerOff(options.device, printer);
  return kExitDone;
}

}  // namespace morsel::cli
