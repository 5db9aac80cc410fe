// The command line: which commands and options there are, and what was asked for.
#pragma once

#include <functional>

#include "cli/printer.h"

namespace morsel::cli {

/// What the command line asks for.
struct Invocation {
  bool json = false;
  /// Runs the command. Returns the exit code, or throws a Failure.
  std::function<int(const Printer& printer)> run;
};

/// Parses the command line. If help or the version is asked for, `run` has printed it and only
/// returns the exit code.
/// Throws  Failure: wrong usage; `invocation.json` says how to print it.
void ParseCommandLine(int argc, char** argv, Invocation& invocation);

}  // namespace morsel::cli
