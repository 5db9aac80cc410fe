#include "bench/space_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace bench {

SpaceOptions ParseSpaceOptions(int argc, char** argv) {
  SpaceOptions options;
  CLI::App app("Runs one allocator and prints what it took, stage by stage.");
  app.add_option("--workload", options.workload)
      ->required()
      ->check(CLI::IsMember({"equal", "churn", "full"}));
  app.add_option("--folder", options.place.folder, "an empty one, for files")->required();
  app.add_option("--size", options.place.size_bytes, "bytes that a file may have");
  app.add_option("--objects", options.objects, "to allocate, in each churn");
  app.add_option("--churns", options.churns);
  app.add_option("--live", options.live_bytes, "bytes in use during churns")
      ->check(CLI::Range(kSizeMaxBytes, UINT64_MAX));
  app.add_option("--seed", options.seed);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

}  // namespace bench
