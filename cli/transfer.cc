// morselctl export and import: writes a morsel as an image, and makes a morsel of an image.
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/record.h"
#include "cli/units.h"

namespace morsel::cli {
namespace {

struct Arguments {
  std::string pool;
  std::string name;
  std::string file;
};

struct ExportArguments : Arguments {
  bool salvage = false;
  uint32_t codec = MORSEL_CODEC_NONE;
  bool has_codec = false;
};

int Export(const ExportArguments& arguments, bool json) {
  const std::unique_ptr<OpenPool> pool = OpenPoolAt(arguments.pool, Access::kRead);
  std::vector<std::string> findings;
  const OnSkipped skipped = [&](const std::string& message) { findings.push_back(message); };
  {
    const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
    ExportRequest options;
    if (arguments.salvage) options.skipped = skipped;
    if (arguments.has_codec) options.codec = static_cast<image::Codec>(arguments.codec);
    options.progress = ProgressOf(bar.get());
    Must(pool->Export(arguments.name.c_str(), arguments.file.c_str(), options));
  }
  if (json) {
    nlohmann::ordered_json report = {
        {"pool", arguments.pool}, {"name", arguments.name}, {"file", arguments.file}};
    if (arguments.salvage) report["findings"] = findings;
    Print(report);
  } else {
    std::string text;
    for (const std::string& finding : findings) text += Printable(finding) + "\n";
    text += findings.empty() ? "" : "zeros are there instead, and all else is as it was: ";
    Print(text + "morsel '" + Printable(arguments.name) + "' is in '" + Printable(arguments.file) +
          "'\n");
  }
  return findings.empty() ? kExitDone : kExitDamage;
}

int Import(const Arguments& arguments, bool has_name, bool json) {
  const std::unique_ptr<OpenPool> pool = OpenPoolAt(arguments.pool, Access::kWrite);
  const std::string name =
      has_name ? arguments.name : arguments.file.substr(arguments.file.rfind('/') + 1);
  {
    const std::unique_ptr<ProgressBar> bar = TerminalProgressBar();
    Must(pool->Import(arguments.file.c_str(), name.c_str(), ProgressOf(bar.get())));
  }
  const CatalogRecord record = FindMorsel(*pool, name);
  if (json) {
    Print(JsonOf(record, pool->pool().granularity_bytes(record.contract)));
  } else {
    Print("morsel '" + Printable(record.name) + "' is in pool '" + Printable(arguments.pool) +
          "', at " + FormatAddress(record.base) + "\n");
  }
  return kExitDone;
}

}  // namespace

void AddExport(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "export", "Write a morsel as one file, an image.",
      "`morselctl import` takes it into any pool that has its contract, at the same address.\n"
      "The morsel is read as it was left by the last checkpoint or close, or by a crash, beside\n"
      "other readers; nothing is changed, and no file is replaced.\n"
      "--codec compresses the image by another codec than the morsel's own, which `import` keeps.\n"
      "With --salvage, what the medium of a fine morsel cannot serve is listed, and zero in the\n"
      "image; exits with 1 then. Without it, that is an error.");
  const auto arguments = std::make_shared<ExportArguments>();
  command->add_option("POOL", arguments->pool, "The pool's path.")->required();
  command->add_option("NAME", arguments->name, "A morsel of it.")->required();
  command->add_option("FILE", arguments->file, "The file to make.")->required();
  command->add_flag("--salvage", arguments->salvage, "Skip what the medium cannot serve.");
  CLI::Option* const codec = AddCodec(command, &arguments->codec, "How the image is compressed", "",
                                      " (default: as the morsel's)");
  command->callback([&invocation, arguments, codec] {
    arguments->has_codec = codec->count() > 0;
    invocation.run = [&invocation, arguments] { return Export(*arguments, invocation.json); };
  });
}

void AddImport(CLI::App& app, Invocation& invocation) {
  CLI::App* const command =
      AddCommand(app, invocation, "import", "Make a morsel of an image that was exported.",
                 "The morsel has the image's id, address and roots. All of it is held against its\n"
                 "checksums before the morsel is there.\n"
                 "\n"
                 "Examples:\n"
                 "  morselctl import /data/pool graph.image --as graph\n"
                 "  morselctl import /mnt/pmem/pool queue");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("POOL", arguments->pool, "The pool's path.")->required();
  command->add_option("FILE", arguments->file, "The image.")->required();
  CLI::Option* const name =
      command->add_option("--as", arguments->name, "The morsel's name (default: the file's).");
  name->type_name("NAME");
  command->callback([&invocation, arguments, name] {
    const bool has_name = name->count() > 0;
    invocation.run = [&invocation, arguments, has_name] {
      return Import(*arguments, has_name, invocation.json);
    };
  });
}

}  // namespace morsel::cli
