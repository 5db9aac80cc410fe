// A directory in which files appear whole or not at all.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::pmem {

/// What a file is called until it is whole; the rest is random. Nobody else's files begin so.
inline constexpr char kTemporaryPrefix[] = ".morsel-tmp-";

/// A file that is not there yet under its own name. It is locked with flock(2) while who makes it
/// lives, so that nobody takes it for one that a crash left.
struct TemporaryFile {
  File file;
  std::string name;
};

/// The path of a file: the directory that it lies in, and its name there.
struct SplitPath {
  std::string directory;
  std::string name;
};
/// Errors  kInvalidArgument: it cannot be a file's.
Result<SplitPath> SplitAtName(const std::string& path);

/// Ownership  the descriptor is closed with the object; move-only.
/// Threads    any.
class Directory {
 public:
  /// Errors  by errno: kNotFound, kPermission, ...
  static Result<Directory> Open(SystemCalls& calls, const std::string& path);

  const std::string& path() const { return file_.path(); }
  std::string PathOf(const std::string& name) const { return path() + "/" + name; }
  int descriptor() const { return file_.descriptor(); }
  SystemCalls& calls() const { return file_.calls(); }
  void Close() { file_.Close(); }

  /// Opens an entry; a symbolic link is not followed, a pipe is not waited for.
  /// Errors  kNotFound; kInvalidArgument (not a regular file); by errno.
  Result<File> OpenFile(const std::string& name, int flags) const;

  /// The names of all entries, sorted.
  /// Errors  by errno.
  Result<std::vector<std::string>> Names() const;

  /// Errors  kExists: something of that name is there. For who would work long in vain.
  Status CheckNone(const std::string& name) const;

  /// A new file for reading and writing, with the permission bits `mode`, that Publish() will call
  /// `name`; sentences call it so already.
  /// Errors  kNoSpace, kPermission, kIo.
  Result<TemporaryFile> MakeTemporary(const std::string& name, mode_t mode) const;

  /// Gives the whole file its name.
  /// Durability  file and name, on return; a crash before leaves nothing of that name, or all.
  /// Errors      kExists; kNoSpace, kPermission, kIo: nothing has that name. Where the directory's
  ///             sync failed, a crash may bring the whole file back.
  Status Publish(const File& file, const std::string& temporary_name,
                 const std::string& name) const;

  /// Removes a temporary; what fails is left to the next RemoveTemporaries().
  void Abandon(const std::string& temporary_name) const;

  /// Removes what crashes left; what is being made just now stays.
  Status RemoveTemporaries() const;

  /// Durability  gone on return.
  /// Errors      kNotFound, kPermission; kIo: it may be gone, and come back by a crash.
  Status Remove(const std::string& name) const;

  /// Errors  kIo, kNoSpace.
  Status Sync() const;

  /// Whether `name` leads to the open file.
  /// Errors  kNotFound: nothing has that name any more, or another file has it; kIo.
  Status CheckLeadsTo(const std::string& name, const File& file) const;

 private:
  explicit Directory(File file) : file_(std::move(file)) {}

  Status Rename(const std::string& from, const std::string& to) const;

  File file_;
};

}  // namespace morsel::pmem
