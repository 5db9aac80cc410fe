// A directory in which a new file appears whole or not at all.
//
// A file is made under a temporary name, and gets its own name by Publish() when it is complete.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/file/file.h"
#include "os/file/file_rights.h"

namespace morsel::os {

/// How the names of files begin that only this library makes.
inline constexpr char kOwnNames[] = ".morsel";
/// How the name of a file begins until the file is complete; the rest of the name is random.
inline constexpr char kTemporaryPrefix[] = ".morsel-tmp-";

/// A file that does not have its own name yet. It has its maker's LockForWriting(), so that nobody
/// takes it for a file that a crash left behind.
struct TemporaryFile {
  File file;
  std::string name;
};

/// What becomes of a file that has the name that another is to get.
enum class Naming : uint8_t {
  kNew,      ///< it keeps it, and that is an error
  kReplace,  ///< it loses it
};

/// The path of a file in two parts: its directory, and its name there.
struct SplitPath {
  std::string directory;
  std::string name;
};
/// Splits `path` at its last slash. The directory of a bare name is ".".
/// Errors  kInvalidArgument: `path` cannot be a file's, e.g. it ends in a slash or in "..".
Result<SplitPath> SplitAtName(const std::string& path);

/// As SplitAtName(), for a file that is to be made.
/// Errors  kInvalidArgument: also a name that begins as those of the library's own files.
Result<SplitPath> SplitAtNewName(const std::string& path);

/// An open directory. Names are those of its entries and have no slash.
///
/// Ownership  the descriptor is closed with the object; move-only.
/// Threads    any.
class Directory {
 public:
  /// Opens the directory `path`.
  /// Errors  by errno, see FailErrno(): kNotFound, kPermission, ...
  static Result<Directory> Open(SystemCalls& calls, const std::string& path);

  const std::string& path() const { return file_.path(); }
  std::string PathOf(const std::string& name) const { return path() + "/" + name; }
  /// As File::descriptor().
  int descriptor() const { return file_.descriptor(); }
  const FileIdentity& identity() const { return file_.identity(); }
  SystemCalls& calls() const { return file_.calls(); }
  void Close() { file_.Close(); }
  /// As File::SetMode().
  Status SetMode(mode_t mode) const { return file_.SetMode(mode); }

  /// From now on files that are made here get the directory's group if the directory is a group's,
  /// since the group may write it. (Where it has its set-group-ID bit, the kernel sees to that.)
  void ShareWithGroup() { shares_ = true; }
  /// Gives such a file its group, before it gets its mode. Who is not in the group may not: then
  /// the group stays as it is.
  void GiveGroup(const File& file) const;

  /// Opens an entry. It does not follow a symbolic link, and does not wait for a pipe.
  /// Errors  kNotFound; kUnsupported: it is a symbolic link; kInvalidArgument: it is no regular
  ///         file; others by errno.
  Result<File> OpenFile(const std::string& name, int flags) const;

  /// Opens an entry as its one writer by TryLockForWriting(), whose messages call it `subject`:
  /// where a reader's lock stands in the writer's place, the caller does what is to be done then.
  /// Children of fork(2) do not have the file.
  /// Errors  as OpenFile() and TryLockForWriting().
  Result<File> OpenForWriting(const std::string& name, const std::string& subject) const;

  /// The names of all entries, sorted, "." and ".." included.
  /// Errors  by errno.
  Result<std::vector<std::string>> Names() const;

  /// Fails if the name is taken. Callers ask before long work; only Publish() decides.
  /// Errors  kExists.
  Status CheckNone(const std::string& name) const;

  /// Makes a new file for reading and writing, with those of the permission bits that are in 0777;
  /// the umask takes none away. With a group and list in `rights` it has these, as GiveRights()
  /// gives them. Messages call it `name` already, which is to be its name.
  /// Ownership  the caller ends it with Publish() or Abandon().
  /// Errors     kNoSpace, kPermission, kIo.
  Result<TemporaryFile> MakeTemporary(const std::string& name, const FileRights& rights) const;

  /// Gives the complete file its name.
  /// Durability  the file and its name, on return. After a crash before that, nothing has the name,
  ///             or what had it before, or the complete file has it.
  /// Errors      kExists: something else has the name. kNoSpace, kPermission, kIo: what had the
  ///             name before has it, or nothing, but if the sync of the directory failed, the
  ///             complete file may have it again after a crash; if it was to replace another, that
  ///             is kIo, and it has it. The caller abandons the temporary.
  Status Publish(const File& file, const std::string& temporary_name, const std::string& name,
                 Naming naming = Naming::kNew) const;

  /// Removes a temporary file. If that fails, the next RemoveTemporaries() removes it. LastError()
  /// stays as it is.
  void Abandon(const std::string& temporary_name) const;

  /// Removes the temporary files that crashes left behind. Those that are being made now stay, and
  /// those that this process may not open, which another user may be making.
  /// Errors  by errno: the names cannot be read. A file that cannot be removed is no error.
  Status RemoveTemporaries() const;

  /// Removes a file.
  /// Durability  the removal is durable on return.
  /// Errors      kNotFound, kPermission; kIo: the file may be gone, and be back after a crash.
  Status Remove(const std::string& name) const;

  /// Gives the file `from` another name, which nothing else has.
  /// Durability  on return. After a crash before that, the file has one of the two names. Where the
  ///             file system has no rename that refuses to replace, it may have both.
  /// Errors      kExists; kNotFound; kNoSpace, kPermission, kUnsupported; kIo: it has one of the
  ///             two names, or both.
  Status Move(const std::string& from, const std::string& to) const;

  /// Makes the directory's names durable, by fsync(2), where the file system does that.
  /// Errors  kIo, kNoSpace.
  Status Sync() const;

  /// Whether `name` leads to the open file, which has no other name. If not, the next two say why.
  /// Cost  one system call.
  bool IsOnlyNameOf(const std::string& name, const File& file) const;

  /// Checks that the open file, which is `name` here, has no other names.
  /// Errors  kUnsupported: it has; kIo.
  Status CheckHasOneName(const std::string& name, const File& file) const;

  /// Checks that `name` is still the name of the open file.
  /// Errors  kNotFound: nothing has the name any more, or another file has it; kIo.
  Status CheckLeadsTo(const std::string& name, const File& file) const;

 private:
  explicit Directory(File file) : file_(std::move(file)) {}

  Result<std::optional<TemporaryFile>> TryToMakeTemporary(const std::string& name) const;
  /// Gives the file `from` the name `to`, which nothing else has. Returns whether it has kept the
  /// name `from`, too, since the file system can only make links without replacing.
  Result<bool> GiveName(const std::string& from, const std::string& to) const;
  Status TakeName(const std::string& from, const std::string& to) const;

  File file_;
  bool shares_ = false;
};

}  // namespace morsel::os
