// morselctl: pools and morsels from the command line.
#include <fcntl.h>
#include <unistd.h>

#include <new>

#include "cli/command_line.h"
#include "cli/failure.h"
#include "cli/printer.h"

namespace morsel::cli {
namespace {

int Fails(bool json, const Failure& failure) {
  Printer(json).PrintFailure(failure);
  return failure.is_done ? kExitUnsaid : ExitCodeOf(failure.code);
}

// What the tool prints must not go into a file that gets a closed descriptor's number.
void OpenStandardDescriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest number that is free, which is this one.
    if (fcntl(descriptor, F_GETFD) < 0) (void)!open("/dev/null", O_RDWR);
  }
}

int Main(int argc, char** argv) {
  OpenStandardDescriptors();
  Invocation invocation;
  try {
    ParseCommandLine(argc, argv, invocation);
    return invocation.run(Printer(invocation.json));
  } catch (const Failure& failure) {
    return Fails(invocation.json, failure);
  } catch (const std::bad_alloc&) {
    return Fails(invocation.json, {MORSEL_NO_MEMORY, "there is not enough memory; free some"});
  }
}

}  // namespace
}  // namespace morsel::cli

int main(int argc, char** argv) { return morsel::cli::Main(argc, argv); }
