#include "bench/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace bench {

Options ParseOptions(int argc, char** argv) {
  Options options;
  CLI::App app("Runs one workload on one allocator and prints what it took.");
  app.add_flag("--list", options.list, "print the workloads that this allocator can run");
  app.add_option("--workload", options.workload);
  app.add_option("--folder", options.place.folder, "an empty one, for files");
  app.add_option("--size", options.place.size_bytes, "bytes that a file may have");
  app.add_option("--checkpoints", options.place.checkpoints,
                 "that a snapshot morsel has had before it is measured");
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber);
  app.add_option("--seconds", options.seconds, "how long each thread works at least");
  app.add_option("--seed", options.seed);
  app.add_option("--shrink", options.shrink, "divides the numbers of objects")
      ->check(CLI::PositiveNumber);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

}  // namespace bench
