// The commands of morselctl, each in the file of its name (export and import in transfer.cc, copy
// in rebase.cc), and what the command line can ask of each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/printer.h"

namespace morsel::cli {

struct CreateOptions {
  std::string pool;
  std::optional<std::string> name;  ///< of the new morsel; none: the pool is made
  bool carved = false;
  bool fine = false;
  bool giant = false;
  uint32_t mode = 0;
  uint64_t size_bytes = 0;
  uint64_t capacity_bytes = 0;
  uint32_t codec = 0;
};

struct FormatOptions {
  std::string device;
  bool force = false;
  std::string yes_destroy;  ///< the device's name, which must be typed elsewhere if this is empty
};

struct LsOptions {
  std::string pool;
};

struct InfoOptions {
  std::string path;  ///< of a pool or of an image
  std::optional<std::string> name;
};

struct RootsOptions {
  std::string pool;
  std::string name;
};

struct CheckOptions {
  std::string pool;
  std::optional<std::string> name;
  bool pointers = false;
  bool leaks = false;
};

struct RmOptions {
  std::string pool;
  std::vector<std::string> names;
  bool yes = false;
};

struct RenameOptions {
  std::string pool;
  std::string name;
  std::string to;
};

struct RebaseOptions {
  std::string pool;
  std::string name;
  uint64_t base = 0;            ///< 0: the pool chooses
  uint64_t capacity_bytes = 0;  ///< 0: as it is
  bool dry_run = false;
};

struct CopyOptions {
  std::string pool;
  std::string name;
  std::string to;
};

struct ResizeOptions {
  std::string pool;
  std::string name;
  uint64_t size_bytes = 0;
};

struct ExportOptions {
  std::string pool;
  std::string name;
  std::string file;
  bool salvage = false;
  std::optional<uint32_t> codec;  ///< none: the morsel's own
};

struct ImportOptions {
  std::string pool;
  std::string file;
  std::optional<std::string> name;  ///< none: the one that it carries, or the file's
  bool replace = false;
  bool rebase = false;
  uint64_t base = 0;            ///< 0: the image's, or, with `rebase`, one that is free
  uint64_t capacity_bytes = 0;  ///< 0: the image's
};

struct AddrOptions {
  std::optional<std::string> user;  ///< to be given addresses; none: they are shown
};

struct VerifyOptions {
  std::string file;
};

struct SalvageOptions {
  std::string file;
  std::string to;  ///< empty: nothing is written
};

/// Each does what its command says. Returns the exit code.
/// Throws  Failure.
int Create(const CreateOptions& options, const Printer& printer);
int Format(const FormatOptions& options, const Printer& printer);
int Ls(const LsOptions& options, const Printer& printer);
int Info(const InfoOptions& options, const Printer& printer);
int Roots(const RootsOptions& options, const Printer& printer);
int Check(const CheckOptions& options, const Printer& printer);
int Rm(const RmOptions& options, const Printer& printer);
int Rename(const RenameOptions& options, const Printer& printer);
int Rebase(const RebaseOptions& options, const Printer& printer);
int Copy(const CopyOptions& options, const Printer& printer);
int Resize(const ResizeOptions& options, const Printer& printer);
int Export(const ExportOptions& options, const Printer& printer);
int Import(const ImportOptions& options, const Printer& printer);
int Verify(const VerifyOptions& options, const Printer& printer);
int Salvage(const SalvageOptions& options, const Printer& printer);
int Addr(const AddrOptions& options, const Printer& printer);

}  // namespace morsel::cli
