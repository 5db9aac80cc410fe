// morselctl format: makes a device-dax device a pool.
#include <unistd.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/pool_facts.h"
#include "morsel/carved/format_device.h"

namespace morsel::cli {
namespace {

struct Arguments {
  std::string device;
  bool force = false;
  std::string yes_destroy;
};

std::string NameOf(const std::string& device) { return device.substr(device.rfind('/') + 1); }

// Throws a Failure unless the user has typed the device's name. Whoever destroys data must name the
// device, so that a slip of the fingers destroys nothing.
void MustBeMeant(const Arguments& arguments, bool json) {
  const std::string name = NameOf(arguments.device);
  std::string typed = arguments.yes_destroy;
  if (typed.empty() && !json && isatty(STDIN_FILENO) != 0) {
    std::cout << "What '" << Printable(arguments.device) << "' holds will be lost. Type its name, "
              << Printable(name) << ", to go on: " << std::flush;
    std::getline(std::cin, typed);
  }
  if (typed == name) return;
  throw Failure{Code::kInvalidArgument,
                typed.empty() ? "--force destroys what '" + arguments.device +
                                    "' holds: say so with --yes-destroy " + name
                              : "'" + typed + "' is not the name of '" + arguments.device +
                                    "': nothing was done; it is " + name};
}

int Format(const Arguments& arguments, bool json) {
  if (!arguments.force && !arguments.yes_destroy.empty()) {
    throw Failure{Code::kInvalidArgument, "--yes-destroy means nothing without --force"};
  }
  DeviceData data = DeviceData::kMustBeAbsent;
  if (arguments.force) {
    MustBeMeant(arguments, json);
    data = DeviceData::kIsDestroyed;
  }
  Must(FormatDevice(arguments.device, data, os::KernelCalls()));
  if (json) {
    Print(nlohmann::ordered_json{{"pool", arguments.device}, {"kind", "carved"}});
  } else {
    Print("made the device '" + Printable(arguments.device) + "' a carved pool\n");
    WarnOfPowerOff(arguments.device);
  }
  return kExitDone;
}

}  // namespace

void AddFormat(CLI::App& app, Invocation& invocation) {
  CLI::App* const command =
      AddCommand(app, invocation, "format", "Make a device-dax device a pool.",
                 "A device is refused that holds a file system, a pool or other data, or that a "
                 "process uses.\n"
                 "\n"
                 "Examples:\n"
                 "  morselctl format /dev/dax0.0\n"
                 "  morselctl format /dev/dax0.0 --force --yes-destroy dax0.0");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("DEVICE", arguments->device, "The device's path.")->required();
  command->add_flag("--force", arguments->force,
                    "Though it holds data, which is lost. Its name has to be typed.");
  command
      ->add_option("--yes-destroy", arguments->yes_destroy,
                   "With --force, in scripts: the device's name, e.g. dax0.0.")
      ->type_name("NAME");
  command->callback([&invocation, arguments] {
    invocation.run = [&invocation, arguments] { return Format(*arguments, invocation.json); };
  });
}

}  // namespace morsel::cli
