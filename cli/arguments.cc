// The parts of the command line that several commands share.
#include <stdexcept>

#include "cli/commands.h"
#include "cli/units.h"
#include "morsel/morsel.h"

namespace morsel::cli {

CLI::App* AddCommand(CLI::App& app, Invocation& invocation, const std::string& name,
                     const std::string& what, const std::string& examples) {
  CLI::App* const command = app.add_subcommand(name, what);
  command->add_flag("--json", invocation.json, "Print JSON, errors too.");
  command->footer(examples + "\nExit codes: see morselctl --help.");
  return command;
}

namespace {

template <class Value>
CLI::Option* AddParsed(CLI::App* command, const std::string& name, Value* value,
                       Value (*parse)(const std::string&), const std::string& what) {
  return command->add_option_function<std::string>(
      name,
      [=](const std::string& text) {
        try {
          *value = parse(text);
        } catch (const std::invalid_argument& error) {
          throw CLI::ValidationError(name, error.what());
        }
      },
      what);
}

uint32_t ParseCodec(const std::string& text) {
  if (text == "none") return MORSEL_CODEC_NONE;
  if (text == "lz4") return MORSEL_CODEC_LZ4;
  if (text == "zstd") return MORSEL_CODEC_ZSTD;
  throw std::invalid_argument("'" + text + "' is no codec: there are none, lz4 and zstd");
}

}  // namespace

CLI::Option* AddSize(CLI::App* command, const std::string& name, uint64_t* size_bytes,
                     const std::string& what) {
  return AddParsed(command, name, size_bytes, ParseSize, what)->type_name("SIZE");
}

CLI::Option* AddMode(CLI::App* command, uint32_t* mode, const std::string& what) {
  return AddParsed(command, "--mode", mode, ParseMode, what)->type_name("OCTAL");
}

CLI::Option* AddCodec(CLI::App* command, uint32_t* codec, const std::string& what) {
  return AddParsed(command, "--codec", codec, ParseCodec, what)->type_name("CODEC");
}

}  // namespace morsel::cli
