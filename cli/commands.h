// The commands of morselctl, each in the file of its name (export and import in transfer.cc).
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>

namespace morsel::cli {

/// What the command line asks for.
struct Invocation {
  bool json = false;
  /// Runs the command. Returns the exit code, or throws a Failure.
  std::function<int()> run;
};

/// Each adds one command to the command line. When the command has been parsed, `invocation.run`
/// runs it; so `invocation` must outlive `app`.
void AddCreate(CLI::App& app, Invocation& invocation);
void AddFormat(CLI::App& app, Invocation& invocation);
void AddLs(CLI::App& app, Invocation& invocation);
void AddInfo(CLI::App& app, Invocation& invocation);
void AddCheck(CLI::App& app, Invocation& invocation);
void AddRm(CLI::App& app, Invocation& invocation);
void AddResize(CLI::App& app, Invocation& invocation);
void AddExport(CLI::App& app, Invocation& invocation);
void AddImport(CLI::App& app, Invocation& invocation);
void AddVerify(CLI::App& app, Invocation& invocation);
void AddSalvage(CLI::App& app, Invocation& invocation);

/// Adds a command with its --json option. `examples` stands at the end of its help.
CLI::App* AddCommand(CLI::App& app, Invocation& invocation, const std::string& name,
                     const std::string& what, const std::string& examples);

/// Add an option or argument that is a size, a mode (see units.h) or a codec. A text that cannot be
/// parsed is a usage error.
CLI::Option* AddSize(CLI::App* command, const std::string& name, uint64_t* size_bytes,
                     const std::string& what);
CLI::Option* AddMode(CLI::App* command, uint32_t* mode, const std::string& what);
/// AddCodec() puts the help together: `what`, then the names of all codecs, with after_first behind
/// the first name and after_last behind the last.
CLI::Option* AddCodec(CLI::App* command, uint32_t* codec, const std::string& what,
                      const std::string& after_first, const std::string& after_last);

}  // namespace morsel::cli
