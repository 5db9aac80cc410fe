#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/units.h"
#include "morsel/tools.h"

namespace morsel::cli {
namespace {

// What a terminal shows at least.
constexpr size_t kColumns = 80;

constexpr char kFooter[] =
    "Sizes are bytes, or have a unit of powers of 1024: 4096, 4M, 1.5G, 2GiB.\n"
    "Results go to standard output, errors to standard error, with --json both as JSON.\n"
    "\n"
    "Exit codes:\n"
    "   0  done                            16  its address range is in use\n"
    "   1  damage was found                17  bytes on the medium are damaged\n"
    "   2  wrong usage                     18  written by a version not known here\n"
    "   3  done, but output failed         19  not permitted\n"
    "  11  no space left                   20  the medium failed\n"
    "  13  there is nothing of that name   21  not supported here, or not yet\n"
    "  14  it exists already               22  not enough memory\n"
    "  15  in use by another process       23  no room in the address window";

// Adds a command with its --json option. `examples` stands at the end of its help.
CLI::App* AddCommand(CLI::App& app, Invocation& invocation, const std::string& name,
                     const std::string& what, const std::string& examples) {
  CLI::App* const command = app.add_subcommand(name, what);
  command->add_flag("--json", invocation.json, "Print JSON, errors too.");
  command->footer(examples + (examples.empty() ? "" : "\n") + "Exit codes: see morselctl --help.");
  return command;
}

// Has `run` run when the command has been parsed. The options live as long as it may run.
template <class Options>
void Runs(CLI::App* command, Invocation& invocation, const std::shared_ptr<Options>& options,
          int (*run)(const Options&, const Printer&)) {
  command->callback([&invocation, options, run] {
    invocation.run = [options, run](const Printer& printer) { return run(*options, printer); };
  });
}

// Adds an option or argument that is parsed by a function of units.h, or as a codec. A text that
// cannot be parsed is a usage error.
template <class Target, class Parsed>
CLI::Option* AddParsed(CLI::App* command, const std::string& name, Target* target,
                       Parsed (*parse)(const std::string&), const std::string& what) {
  return command->add_option_function<std::string>(
      name,
      [=](const std::string& text) {
        try {
          *target = parse(text);
        } catch (const std::invalid_argument& error) {
          throw CLI::ValidationError(name, error.what());
        }
      },
      what);
}

CLI::Option* AddSize(CLI::App* command, const std::string& name, uint64_t* size_bytes,
                     const std::string& what) {
  return AddParsed(command, name, size_bytes, ParseSize, what)->type_name("SIZE");
}

CLI::Option* AddMode(CLI::App* command, uint32_t* mode, const std::string& what) {
  return AddParsed(command, "--mode", mode, ParseMode, what)->type_name("OCTAL");
}

// Adds an option or argument that may be left out. An empty text is one that was given.
CLI::Option* AddName(CLI::App* command, const std::string& name, std::optional<std::string>* value,
                     const std::string& what) {
  return command->add_option_function<std::string>(
      name, [value](const std::string& text) { *value = text; }, what);
}

CLI::Option* AddPool(CLI::App* command, std::string* path) {
  return command->add_option("POOL", *path, "The pool's path.")->required();
}

CLI::Option* AddMorsel(CLI::App* command, std::string* name) {
  return command->add_option("NAME", *name, "A morsel of it.")->required();
}

// Returns the names of all codecs as a sentence lists them: "a, b or c".
std::string CodecNames(const std::string& before_last, const std::string& after_first) {
  std::string names;
  for (uint32_t codec = 0; morsel_codec_name(codec) != nullptr; ++codec) {
    const bool is_last = morsel_codec_name(codec + 1) == nullptr;
    if (codec > 0) names += is_last ? " " + before_last + " " : ", ";
    names += morsel_codec_name(codec);
    if (codec == 0) names += after_first;
  }
  return names;
}

uint32_t ParseCodec(const std::string& text) {
  for (uint32_t codec = 0; morsel_codec_name(codec) != nullptr; ++codec) {
    if (text == morsel_codec_name(codec)) return codec;
  }
  throw std::invalid_argument("'" + text + "' is no codec: there are " + CodecNames("and", ""));
}

// Puts the help together: `what`, then the names of all codecs, with after_first behind the first
// name and after_last behind the last.
template <class Target>
void AddCodec(CLI::App* command, Target* codec, const std::string& what,
              const std::string& after_first, const std::string& after_last) {
  const std::string text = what + ": " + CodecNames("or", after_first) + after_last + ".";
  AddParsed(command, "--codec", codec, ParseCodec, text)->type_name("CODEC");
}

void AddCreate(CLI::App& app, Invocation& invocation) {
  CLI::App* const command =
      AddCommand(app, invocation, "create", "Make a pool, or a morsel in a pool.",
                 "Examples:\n"
                 "  morselctl create /data/pool                          a directory as a pool\n"
                 "  morselctl create /data/pool graph --capacity 64G     a snapshot morsel in it\n"
                 "  morselctl create /data/pool texts --codec lz4        one that is compressed\n"
                 "  morselctl create /pmem/pool --carved --size 8G       a carved pool, in a file\n"
                 "  morselctl create /pmem/pool queue --fine --size 64M  a fine morsel in it");
  const auto options = std::make_shared<CreateOptions>();
  AddPool(command, &options->pool);
  AddName(command, "NAME", &options->name, "The new morsel's name; without it, the pool is made.");
  command->add_flag("--carved", options->carved,
                    "Make a carved pool: a new regular file on persistent memory.");
  AddSize(command, "--size", &options->size_bytes,
          "Of a carved pool, all of it; of a morsel, at first (default: grows as it is used).");
  AddSize(command, "--capacity", &options->capacity_bytes,
          "How far the morsel can ever grow (default: 16 GiB, less where addresses are scarce).");
  command->add_flag("--fine", options->fine,
                    "The fine contract: what is persisted is durable at once.");
  command->add_flag("--giant", options->giant, "Of subtrees of 1 GiB.");
  AddCodec(command, &options->codec, "How the morsel's image is compressed", " (the default)", "");
  AddMode(command, &options->mode, "Permission bits (default: 0700 for a directory, else 0600).");
  Runs(command, invocation, options, Create);
}

void AddFormat(CLI::App& app, Invocation& invocation) {
  CLI::App* const command =
      AddCommand(app, invocation, "format", "Make a device-dax device a pool.",
                 "A device is refused that holds a file system, a pool or other data, or that a "
                 "process uses.\n"
                 "\n"
                 "Examples:\n"
                 "  morselctl format /dev/dax0.0\n"
                 "  morselctl format /dev/dax0.0 --force --yes-destroy dax0.0");
  const auto options = std::make_shared<FormatOptions>();
  command->add_option("DEVICE", options->device, "The device's path.")->required();
  command->add_flag("--force", options->force,
                    "Though it holds data, which is lost. Its name has to be typed.");
  command
      ->add_option("--yes-destroy", options->yes_destroy,
                   "With --force, in scripts: the device's name, e.g. dax0.0.")
      ->type_name("NAME");
  Runs(command, invocation, options, Format);
}

void AddLs(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "ls", "List the morsels of a pool, by name.",
      "LIVE is what was allocated at the last checkpoint or close. A morsel that is too\n"
      "damaged to be listed is named on standard error; `morselctl check` says more.");
  command->alias("list");
  const auto options = std::make_shared<LsOptions>();
  AddPool(command, &options->pool);
  Runs(command, invocation, options, Ls);
}

void AddInfo(CLI::App& app, Invocation& invocation) {
  CLI::App* const command =
      AddCommand(app, invocation, "info", "Say what a pool is, a morsel of it, or an image.",
                 "Examples:\n"
                 "  morselctl info /data/pool\n"
                 "  morselctl info /data/pool graph\n"
                 "  morselctl info graph.image");
  const auto options = std::make_shared<InfoOptions>();
  command->add_option("POOL", options->path, "The path of a pool, or of an image.")->required();
  AddName(command, "NAME", &options->name, "A morsel of it.");
  Runs(command, invocation, options, Info);
}

void AddRoots(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "roots", "List the roots of a morsel, by name.",
      "A root is what a program finds its data by: an address with a name. The morsel is read "
      "as it was left by the last checkpoint or close. Exits with 1 where a root leads outside of "
      "the morsel.");
  const auto options = std::make_shared<RootsOptions>();
  AddPool(command, &options->pool);
  AddMorsel(command, &options->name);
  Runs(command, invocation, options, Roots);
}

void AddCheck(CLI::App& app, Invocation& invocation) {
  CLI::App* const command =
      AddCommand(app, invocation, "check", "Look for damage in a pool, or in one morsel of it.",
                 "Reads everything that a program would have to believe, images whole. Nothing is "
                 "changed, and other readers may go on. Exits with 1 where something is damaged; "
                 "with the code of the reason where a morsel could not be looked at.");
  const auto options = std::make_shared<CheckOptions>();
  AddPool(command, &options->pool);
  AddName(command, "NAME", &options->name,
          "Only what concerns this morsel, or the pool as a whole.");
  command->add_flag("--pointers", options->pointers,
                    "Look at every word of every block, too: which lead to where a program, a "
                    "library or a stack was, and which to what is freed.");
  command->add_flag("--leaks", options->leaks, "Look for blocks, too, that no root leads to.");
  Runs(command, invocation, options, Check);
}

void AddRm(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "rm", "Remove morsels and what is in them, for good.",
      "On a terminal each is asked about; no answer is a no. Elsewhere --yes is required, "
      "so that a script neither waits nor loses anything by accident.");
  command->alias("remove");
  const auto options = std::make_shared<RmOptions>();
  AddPool(command, &options->pool);
  command->add_option("NAME", options->names, "Morsels of it.")->required();
  command->add_flag("-y,--yes", options->yes, "Do not ask.");
  Runs(command, invocation, options, Rm);
}

void AddRename(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "rename", "Give a morsel another name.",
      "It is not open anywhere for writing meanwhile, and nothing is replaced. A crash leaves it "
      "one of the two names.");
  const auto options = std::make_shared<RenameOptions>();
  AddPool(command, &options->pool);
  AddMorsel(command, &options->name);
  command->add_option("TO", options->to, "Its new name.")->required();
  Runs(command, invocation, options, Rename);
}

CLI::Option* AddAddress(CLI::App* command, uint64_t* address, const std::string& what) {
  return AddParsed(command, "--to", address, ParseAddress, what)->type_name("ADDRESS");
}

void AddRebase(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "rebase", "Give a morsel another address, or another capacity.",
      "The morsel is written anew beside the old one, with every pointer in it changed, and takes "
      "its name at the end: it needs its space twice, and a crash leaves the one or the other. It "
      "is not open anywhere for writing meanwhile. Every word of its blocks that has the value of "
      "an address in it counts as a pointer; those that lead to no block are listed, and so are "
      "roots of tables that are ordered by hashes of addresses, which have to be made anew.\n"
      "\n"
      "Examples:\n"
      "  morselctl rebase /data/pool graph                   to where the pool has room\n"
      "  morselctl rebase /data/pool graph --capacity 1T     with room to grow\n"
      "  morselctl rebase /data/pool graph --dry-run         say what would be changed");
  const auto options = std::make_shared<RebaseOptions>();
  AddPool(command, &options->pool);
  AddMorsel(command, &options->name);
  AddAddress(command, &options->base, "The new address (default: the pool chooses one).");
  AddSize(command, "--capacity", &options->capacity_bytes, "The new capacity (default: as it is).");
  command->add_flag("--dry-run", options->dry_run, "Change nothing.");
  Runs(command, invocation, options, Rebase);
}

void AddCopy(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "copy", "Make a copy of a morsel, at an address of its own.",
      "The copy has another id, and its pointers are changed as `morselctl rebase` does it. Of a "
      "snapshot morsel that a process writes it is the last checkpoint.");
  const auto options = std::make_shared<CopyOptions>();
  AddPool(command, &options->pool);
  AddMorsel(command, &options->name);
  command->add_option("NEW", options->to, "The copy's name.")->required();
  Runs(command, invocation, options, Copy);
}

void AddResize(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "resize", "Grow or shrink a morsel inside its capacity.",
      "SIZE is rounded up to whole subtrees (2 MiB, giant ones 1 GiB). A morsel shrinks\n"
      "only as far as nothing is in use behind its new end.");
  const auto options = std::make_shared<ResizeOptions>();
  AddPool(command, &options->pool);
  AddMorsel(command, &options->name);
  AddSize(command, "SIZE", &options->size_bytes, "The new size, e.g. 64M.")->required();
  Runs(command, invocation, options, Resize);
}

void AddExport(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "export", "Write a morsel as one file, an image.",
      "`morselctl import` takes it into any pool that has its contract, at the same address. "
      "The morsel is read as it was left by the last checkpoint or close, or by a crash, beside "
      "other readers; nothing is changed, and no file is replaced.\n"
      "\n"
      "--codec compresses the image by another codec than the morsel's own, which `import` "
      "keeps. With --salvage, what the medium of a fine morsel cannot serve is listed, and zero "
      "in the image; exits with 1 then. Without it, that is an error.");
  const auto options = std::make_shared<ExportOptions>();
  AddPool(command, &options->pool);
  AddMorsel(command, &options->name);
  command->add_option("FILE", options->file, "The file to make.")->required();
  command->add_flag("--salvage", options->salvage, "Skip what the medium cannot serve.");
  AddCodec(command, &options->codec, "How the image is compressed", "",
           " (default: as the morsel's)");
  Runs(command, invocation, options, Export);
}

void AddImport(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "import", "Make a morsel of an image that was exported.",
      "The morsel has the image's id, address and roots. All of it is held against its "
      "checksums before the morsel is there. With --replace the morsel that has the name "
      "is there until the new one is. At another address the morsel has another id, and "
      "its pointers are changed as `morselctl rebase` does it.\n"
      "\n"
      "Examples:\n"
      "  morselctl import /data/pool graph.image --as graph\n"
      "  morselctl import /data/pool backup.image --replace   back to a backup\n"
      "  morselctl import /data/pool graph.image --rebase     beside the original");
  const auto options = std::make_shared<ImportOptions>();
  AddPool(command, &options->pool);
  command->add_option("FILE", options->file, "The image.")->required();
  AddName(command, "--as", &options->name,
          "The morsel's name (default: what it was called where it was exported).")
      ->type_name("NAME");
  command->add_flag("--replace", options->replace, "The morsel that has the name gives way.");
  command->add_flag("--rebase", options->rebase,
                    "If the image's address is taken, give the morsel another.");
  AddAddress(command, &options->base, "Give the morsel this address.");
  AddSize(command, "--capacity", &options->capacity_bytes,
          "Give the morsel this capacity, and another address.");
  Runs(command, invocation, options, Import);
}

void AddVerify(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "verify", "Look for damage in an image.",
      "Reads an exported file, or a directory pool's morsel, whole and holds it against\n"
      "its checksums. Exits with 1 where something is damaged.");
  const auto options = std::make_shared<VerifyOptions>();
  command->add_option("FILE", options->file, "The image.")->required();
  Runs(command, invocation, options, Verify);
}

void AddSalvage(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "salvage", "Find what is intact of a damaged image.",
      "Lists what is damaged, by subtree and address range. With --to, all else is written as an "
      "image that opens, in which what is damaged is zero. Exits with 1 where something is "
      "damaged; with 17 where nothing can be found.");
  const auto options = std::make_shared<SalvageOptions>();
  command->add_option("FILE", options->file, "The image, which is only read.")->required();
  command->add_option("--to", options->to, "The file to make of what is intact.")
      ->type_name("FILE");
  Runs(command, invocation, options, Salvage);
}

void AddAddr(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = AddCommand(
      app, invocation, "addr", "Show which pools of this host have which addresses.",
      "Pools ask a registry for addresses, so that no two morsels of a host meet. A letter of "
      "the drawing stands for a pool that has addresses there, # for several, a dot for none. "
      "What pools had that are not at their paths any more is free from then on.\n"
      "\n"
      "Examples:\n"
      "  morselctl addr\n"
      "  morselctl addr --user alice     as root: a part of the addresses for her alone");
  const auto options = std::make_shared<AddrOptions>();
  AddName(command, "--user", &options->user, "Give this user addresses that no other user has.")
      ->type_name("NAME");
  Runs(command, invocation, options, Addr);
}

// Returns nullptr if there is no such command.
const CLI::App* CommandNamed(const CLI::App& app, const std::string& name) {
  const auto found =
      app.get_subcommands([&](const CLI::App* command) { return command->check_name(name); });
  return found.empty() ? nullptr : found.front();
}

[[noreturn]] void NoCommand(const std::string& name) {
  throw CLI::ValidationError("there is no command '" + name + "'");
}

void PrintsHelp(Invocation& invocation, const std::string& help) {
  invocation.run = [text = Wrapped(help, kColumns)](const Printer& printer) {
    printer.Print(Value().Set("help", text), text);
    return kExitDone;
  };
}

void AddHelp(CLI::App& app, Invocation& invocation) {
  CLI::App* const command =
      AddCommand(app, invocation, "help", "Say what a command does and what it can be told.", "");
  const auto name = std::make_shared<std::optional<std::string>>();
  AddName(command, "COMMAND", name.get(), "The command; without it, all are listed.");
  command->callback([&app, &invocation, name] {
    if (!*name)
      return PrintsHelp(invocation, app.get_formatter()->make_help(&app, app.get_name(),
                                                                   CLI::AppFormatMode::Normal));
    const CLI::App* const asked = CommandNamed(app, **name);
    if (asked == nullptr) NoCommand(**name);
    PrintsHelp(invocation, asked->help(app.get_name()));
  });
}

bool WantsJson(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--") return false;
    if (std::string_view(argv[i]) == "--json") return true;
  }
  return false;
}

// Returns the command line that shows the help of the command that the user meant.
std::string HelpOf(const CLI::App& app) {
  std::string command = "morselctl";
  for (const CLI::App* chosen : app.get_subcommands()) command += " " + chosen->get_name();
  return command + " --help";
}

void AddCommands(CLI::App& app, Invocation& invocation) {
  AddCreate(app, invocation);
  AddFormat(app, invocation);
  AddLs(app, invocation);
  AddInfo(app, invocation);
  AddRoots(app, invocation);
  AddCheck(app, invocation);
  AddRm(app, invocation);
  AddRename(app, invocation);
  AddRebase(app, invocation);
  AddCopy(app, invocation);
  AddResize(app, invocation);
  AddExport(app, invocation);
  AddImport(app, invocation);
  AddVerify(app, invocation);
  AddAddr(app, invocation);
  AddSalvage(app, invocation);
  AddHelp(app, invocation);
}

}  // namespace

void ParseCommandLine(int argc, char** argv, Invocation& invocation) {
  CLI::App app("Persistent memory objects: pools, and the morsels in them.", "morselctl");
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("morselctl ") + morsel_version());
  app.require_subcommand(1);
  AddCommands(app, invocation);
  try {
    if (argc > 1 && argv[1][0] != '-' && CommandNamed(app, argv[1]) == nullptr) {
      NoCommand(argv[1]);
    }
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    PrintsHelp(invocation, app.help());
  } catch (const CLI::CallForVersion&) {
    invocation.run = [](const Printer& printer) {
      printer.Print(Value().Set("version", morsel_version()),
                    std::string("morselctl ") + morsel_version() + "\n");
      return kExitDone;
    };
  } catch (const CLI::ParseError& error) {
    // Nothing may have been parsed yet.
    invocation.json = WantsJson(argc, argv);
    throw Failure{MORSEL_INVALID_ARGUMENT, std::string(error.what()) + "; see " + HelpOf(app)};
  }
}

}  // namespace morsel::cli
