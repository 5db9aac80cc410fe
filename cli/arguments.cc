// The parts of the command line that several commands share.
#include <stdexcept>

#include "cli/commands.h"
#include "cli/units.h"
#include "image/codecs/codecs.h"

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

// Returns the names of all codecs as a sentence lists them: "a, b or c".
std::string CodecNames(const std::string& before_last, const std::string& after_first) {
  std::string names;
  const auto codecs = image::AllCodecs();
  for (size_t i = 0; i < codecs.size(); ++i) {
    if (i > 0) names += i + 1 < codecs.size() ? ", " : " " + before_last + " ";
    names += codecs[i].name;
    if (i == 0) names += after_first;
  }
  return names;
}

uint32_t ParseCodec(const std::string& text) {
  const image::CodecRow* const codec = image::FindCodec(text);
  if (codec != nullptr) return static_cast<uint32_t>(codec->id);
  throw std::invalid_argument("'" + text + "' is no codec: there are " + CodecNames("and", ""));
}

}  // namespace

CLI::Option* AddSize(CLI::App* command, const std::string& name, uint64_t* size_bytes,
                     const std::string& what) {
  return AddParsed(command, name, size_bytes, ParseSize, what)->type_name("SIZE");
}

CLI::Option* AddMode(CLI::App* command, uint32_t* mode, const std::string& what) {
  return AddParsed(command, "--mode", mode, ParseMode, what)->type_name("OCTAL");
}

CLI::Option* AddCodec(CLI::App* command, uint32_t* codec, const std::string& what,
                      const std::string& after_first, const std::string& after_last) {
  const std::string text = what + ": " + CodecNames("or", after_first) + after_last + ".";
  return AddParsed(command, "--codec", codec, ParseCodec, text)->type_name("CODEC");
}

}  // namespace morsel::cli
