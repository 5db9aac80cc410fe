// pkggraph: Debian's packages as a graph that outlives its process.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <new>

#include "examples/pkggraph/commands.h"

namespace pkggraph {
namespace {

constexpr const char* kExitCodes =
    "Exit codes:\n"
    "  0  done\n"
    "  1  why: there is no path\n"
    "  2  the command line is wrong\n"
    "  3  there is no such package, or no graph\n"
    "  4  the package index cannot be read or is malformed\n"
    "  5  the pool, the morsel or the output failed\n";

// Where a program keeps a user's data. Empty if nobody says where that is.
std::filesystem::path DataDirectory() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/') return data;
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return std::filesystem::path(home) / ".local/share";
  }
  return {};
}

struct CommandLine {
  Place place = {"", "packages"};
  bool timing = false;
  BuildOptions build;
  AddOptions add;
  std::string from, to, name;
  uint64_t top_count = 10;
  std::function<ExitCode()> run;
};

void DeclareQuestions(CLI::App& app, CommandLine& line) {
  const auto ask = [&](const char* name, const char* about, auto answer) {
    CLI::App* const command = app.add_subcommand(name, about);
    command->add_flag("--timing", line.timing, "Tell on standard error how long it took");
    command->callback([&line, answer] { line.run = answer; });
    return command;
  };
  CLI::App* const why = ask("why", "Show a shortest path by which A needs B",
                            [&line] { return Why(line.place, line.timing, line.from, line.to); });
  why->add_option("A", line.from, "A package")->required();
  why->add_option("B", line.to, "A package, or a name that packages provide")->required();
  ask("rdeps", "List what depends on A",
      [&line] { return ReverseDepends(line.place, line.timing, line.name); })
      ->add_option("A", line.name, "A package or name")
      ->required();
  ask("top", "List what most packages depend on",
      [&line] { return Top(line.place, line.timing, line.top_count); })
      ->add_option("N", line.top_count, "How many")
      ->capture_default_str();
  ask("stat", "Count nodes, edges and bytes",
      [&line] { return ShowStat(line.place, line.timing); });
  ask("checksum", "Print the number of nodes and a checksum over all that the graph says",
      [&line] { return ShowChecksum(line.place, line.timing); });
}

void DeclareChanges(CLI::App& app, CommandLine& line) {
  CLI::App* const build = app.add_subcommand("build", "Build the graph of a package index");
  build->add_option("--index", line.build.index,
                    "A file like Debian's Packages or dpkg's status; else what `apt-cache "
                    "dumpavail` prints, else /var/lib/dpkg/status");
  build->add_flag("--pause", line.build.pause,
                  "When the graph is durable, wait for the end of standard input");
  build->callback([&line] { line.run = [&line] { return Build(line.place, line.build); }; });

  CLI::App* const add = app.add_subcommand(
      "add", "Add made-up packages; say before and after each checkpoint what is in the graph");
  add->add_option("N", line.add.count, "How many packages")->required();
  add->add_option("--checkpoint-every", line.add.checkpoint_every, "Packages per checkpoint")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add->add_option(
         "--threads", line.add.threads,
         "So many threads add packages and commit in place of checkpoints; they say how many "
         "made-up packages are durable")
      ->check(CLI::Range(1, 64));
  add->callback([&line] { line.run = [&line] { return Add(line.place, line.add); }; });
}

// The directories above the default pool may not be there; one that was asked for has to be.
void ChooseDefaultPool(Place& place) {
  const std::filesystem::path data = DataDirectory();
  if (data.empty()) {
    throw Failure(ExitCode::kUsage,
                  "neither XDG_DATA_HOME nor HOME says where data is kept; use --pool DIR");
  }
  std::error_code error;
  std::filesystem::create_directories(data, error);
  if (error) {
    throw Failure(ExitCode::kPoolFailed,
                  "cannot create " + data.string() + ": " + error.message() + "; use --pool DIR");
  }
  place.pool = data / "morsel-demo";
}

ExitCode Run(CommandLine& line) {
  if (line.place.pool.empty()) ChooseDefaultPool(line.place);
  const ExitCode code = line.run();
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
    throw Failure(ExitCode::kPoolFailed, "cannot write the answer to standard output");
  }
  return code;
}

int Complain(ExitCode code, const char* sentence) {
  std::fprintf(stderr, "pkggraph: %s\n", sentence);
  return static_cast<int>(code);
}

int Main(int argc, char** argv) {
  CLI::App app("Debian's packages as a graph of ordinary containers in a morsel");
  CommandLine line;
  app.add_option("--pool", line.place.pool,
                 "The pool's directory; else morsel-demo in $XDG_DATA_HOME or ~/.local/share");
  app.add_option("--morsel", line.place.morsel, "The morsel's name")->capture_default_str();
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(kExitCodes);
  DeclareChanges(app, line);
  DeclareQuestions(app, line);
  try {
    app.parse(argc, argv);
    return static_cast<int>(Run(line));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  } catch (const Failure& failure) {
    return Complain(failure.code(), failure.what());
  } catch (const std::bad_alloc&) {
    const std::string cause = morsel::last_error();
    return Complain(ExitCode::kPoolFailed,
                    cause.empty() ? "there is not enough memory" : cause.c_str());
  } catch (const std::exception& error) {
    return Complain(ExitCode::kPoolFailed, error.what());
  }
}

}  // namespace
}  // namespace pkggraph

int main(int argc, char** argv) { return pkggraph::Main(argc, argv); }
