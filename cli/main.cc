// morselctl: pools and morsels from the command line.
#include <cstdio>
#include <exception>
#include <new>
#include <string_view>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/version.h"

namespace morsel::cli {
namespace {

constexpr char kFooter[] =
    "Sizes are bytes, or have a unit of powers of 1024: 4096, 4M, 1.5G, 2GiB.\n"
    "Results go to standard output, errors to standard error, with --json both as JSON.\n"
    "\n"
    "Exit codes:\n"
    "   0  done                            16  its address range is in use\n"
    "   1  damage was found                17  bytes on the medium are damaged\n"
    "   2  wrong usage                     18  written by a version not known here\n"
    "  11  no space left                   19  not permitted\n"
    "  13  there is nothing of that name   20  the medium failed\n"
    "  14  it exists already               21  not supported here, or not yet\n"
    "  15  in use by another process       22  not enough memory\n"
    "                                      23  no room in the address window";

bool WantsJson(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--") return false;
    if (std::string_view(argv[i]) == "--json") return true;
  }
  return false;
}

int Fails(bool json, Code code, const std::string& message) {
  if (json) {
    PrintErrorJson(CodeName(code), message);
  } else {
    PrintError(message);
  }
  return ExitCodeOf(code);
}

// Returns the command line that shows the help of the command that the user meant.
std::string HelpOf(const CLI::App& app) {
  std::string command = "morselctl";
  for (const CLI::App* chosen : app.get_subcommands()) command += " " + chosen->get_name();
  return command + " --help";
}

int Main(int argc, char** argv) {
  CLI::App app("Persistent memory objects: pools, and the morsels in them.", "morselctl");
  app.footer(kFooter);
  app.set_version_flag("--version", "morselctl " MORSELCTL_VERSION);
  app.require_subcommand(1);
  Invocation invocation;
  AddCreate(app, invocation);
  AddFormat(app, invocation);
  AddLs(app, invocation);
  AddInfo(app, invocation);
  AddCheck(app, invocation);
  AddRm(app, invocation);
  AddResize(app, invocation);
  AddExport(app, invocation);
  AddImport(app, invocation);
  AddVerify(app, invocation);
  AddSalvage(app, invocation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    // CLI11 would say that a command is missing. It helps more to name what was typed.
    const bool none = app.get_subcommands().empty();
    if (none && argc > 1 && argv[1][0] != '-')
      what = "there is no command '" + std::string(argv[1]) + "'";
    return Fails(WantsJson(argc, argv), Code::kInvalidArgument, what + "; see " + HelpOf(app));
  }
  try {
    return invocation.run();
  } catch (const Failure& failure) {
    return Fails(invocation.json, failure.code, failure.message);
  } catch (const std::bad_alloc&) {
    return Fails(invocation.json, Code::kNoMemory, "there is not enough memory; free some");
  }
}

}  // namespace
}  // namespace morsel::cli

int main(int argc, char** argv) { return morsel::cli::Main(argc, argv); }
