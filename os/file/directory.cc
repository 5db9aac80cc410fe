#include "os/file/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/descriptor_floor.h"
#include "base/error.h"
#include "base/random.h"
#include "os/file/file_lock.h"
#include "os/file/files_of_this_process.h"

namespace morsel::os {
Result<SplitPath> SplitAtName(const std::string& path) {
  const size_t slash = path.rfind('/');
  SplitPath split = {".", path};
  if (slash != std::string::npos) {
    split = {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
  }
  if (!split.name.empty() && split.name != "." && split.name != "..") return split;
  return Fail(Code::kInvalidArgument, "'%s' is not the path of a file; name the file itself",
              path.c_str());
}

Result<SplitPath> SplitAtNewName(const std::string& path) {
  Result<SplitPath> split = SplitAtName(path);
  if (!split || !split->name.starts_with(kOwnNames)) return split;
  return Fail(Code::kInvalidArgument,
              "'%s' cannot be made: \"%s\" begins the names of the library's own files, which it "
              "removes by itself; choose another name",
              path.c_str(), kOwnNames);
}

Result<Directory> Directory::Open(SystemCalls& calls, const std::string& path) {
  Result<File> file = File::Open(calls, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, path);
  if (!file) return file.status();
  return Directory(std::move(*file));
}

Result<File> Directory::OpenFile(const std::string& name, int flags) const {
  Result<File> file =
      File::Open(calls(), descriptor(), name, flags | O_NOFOLLOW | O_NONBLOCK, 0, PathOf(name));
  struct stat status;
  const bool is_there =
      file ? fstat(file->descriptor(), &status) == 0
           : fstatat(descriptor(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (is_there && S_ISLNK(status.st_mode)) {
    return Fail(Code::kUnsupported,
                "'%s' is a symbolic link, and none is followed: a file is its directory's, which "
                "syncs its name and says who may exchange it; put the file itself there, or mount "
                "(mount --bind) the other disk below the directory",
                PathOf(name).c_str());
  }
  if (is_there && !S_ISREG(status.st_mode)) {
    return Fail(Code::kInvalidArgument, "'%s' is not a regular file", PathOf(name).c_str());
  }
  return file;
}

Result<File> Directory::OpenForWriting(const std::string& name, const std::string& subject) const {
  std::unique_lock no_fork = NoForkMeanwhile();
  Result<File> file = OpenFile(name, O_RDWR);
  if (!file) return file;
  file->CloseInChildren();
  no_fork.unlock();
  const Result<bool> has_lock = TryLockForWriting(*file, subject);
  if (!has_lock) return has_lock.status();
  // It may have been replaced before it was locked.
  MORSEL_TRY(CheckLeadsTo(name, *file));
  return file;
}

Result<std::vector<std::string>> Directory::Names() const {
  // This call needs its own file description, since the position in the directory belongs to it.
  const DescriptorFloor floor;
  const int own = openat(descriptor(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const stream = own < 0 ? nullptr : fdopendir(own);
  if (stream == nullptr) {
    const Status status = FailErrno("the directory '%s' cannot be read", path().c_str());
    if (own >= 0) close(own);
    return status;
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = readdir(stream)) {
    names.emplace_back(entry->d_name);
    errno = 0;
  }
  const int error = errno;
  closedir(stream);
  errno = error;
  if (error != 0) return FailErrno("the directory '%s' cannot be read", path().c_str());
  std::sort(names.begin(), names.end());
  return names;
}

Status Directory::CheckNone(const std::string& name) const {
  struct stat status;
  if (fstatat(descriptor(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return Code::kOk;
  if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
    return Fail(Code::kExists, "'%s' exists already, as %s; choose another name",
                PathOf(name).c_str(),
                S_ISDIR(status.st_mode) ? "a directory" : "a device, a pipe or a socket");
  }
  return Fail(Code::kExists, "'%s' exists already; choose another name, or remove it",
              PathOf(name).c_str());
}

// A file of a new name that only this process may use until it is published, or nothing where a
// RemoveTemporaries() took it for debris before it was locked.
Result<std::optional<TemporaryFile>> Directory::TryToMakeTemporary(const std::string& name) const {
  const Result<Id> id = RandomId();
  if (!id) return id.status();
  std::string temporary_name = kTemporaryPrefix;
  for (const unsigned char byte : *id) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    temporary_name += digits;
  }
  std::unique_lock no_fork = NoForkMeanwhile();
  Result<File> file = File::Open(calls(), descriptor(), temporary_name,
                                 O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, PathOf(name));
  if (!file) return file.status();
  file->CloseInChildren();
  no_fork.unlock();
  const bool is_locked = LockAlone(*file);
  struct stat status;
  const bool has_name = fstat(file->descriptor(), &status) == 0 && status.st_nlink > 0;
  if (is_locked && has_name) return std::optional(TemporaryFile{std::move(*file), temporary_name});
  Abandon(temporary_name);
  return std::optional<TemporaryFile>();
}

void Directory::GiveGroup(const File& file) const {
  struct stat beside;
  struct stat own;
  if (!shares_ || fstat(descriptor(), &beside) != 0 || (beside.st_mode & S_IWGRP) == 0) return;
  if (fstat(file.descriptor(), &own) != 0 || own.st_gid == beside.st_gid) return;
  (void)calls().FChOwn(file.descriptor(), beside.st_gid);
}

Result<TemporaryFile> Directory::MakeTemporary(const std::string& name,
                                               const FileRights& rights) const {
  std::optional<TemporaryFile> made;
  constexpr int kTriesMax = 100;
  for (int tries = 0; !made; ++tries) {
    if (tries == kTriesMax) {
      return Fail(Code::kBusy,
                  "'%s' cannot be made: somebody removes or locks each file in '%s' as soon as it "
                  "is there; end that first",
                  PathOf(name).c_str(), path().c_str());
    }
    Result<std::optional<TemporaryFile>> tried = TryToMakeTemporary(name);
    if (!tried) return tried.status();
    made = std::move(*tried);
  }
  if (!rights.group) GiveGroup(made->file);
  // open(2) takes the bits of the umask away from a mode, and the caller has said which it wants.
  // Bits by which a file runs as its owner are nobody's wish.
  if (const Status status = GiveRights(made->file, rights); !status.ok()) {
    Abandon(made->name);
    return status;
  }
  return std::move(*made);
}

Status Directory::Publish(const File& file, const std::string& temporary_name,
                          const std::string& name, Naming naming) const {
  // ORDER  the file's bytes, synced  <  its name  <  the directory, synced  <  return
  // WHY    a name must never lead to less than the whole file, and what was returned as made must
  //        be found after a crash. What it replaces must not be gone before.
  // CRASH  before the name is durable: a temporary, which the next writer removes, beside what had
  //        the name. After: the file.
  // TEST   os/file/directory_test: PublishSyncsTheFileThenRenamesThenSyncsTheDirectory
  if (calls().FSync(file.descriptor()) != 0) return FailErrno("'%s': fsync", file.path().c_str());
  if (naming == Naming::kReplace) {
    MORSEL_TRY(TakeName(temporary_name, name));
  } else {
    const Result<bool> has_both = GiveName(temporary_name, name);
    if (!has_both) return has_both.status();
    if (*has_both) Abandon(temporary_name);
  }
  const Status status = Sync();
  if (status.ok()) return status;
  if (naming == Naming::kReplace) {
    return Fail(Code::kIo, "%s; after a crash '%s' may be what it was before", LastError(),
                PathOf(name).c_str());
  }
  Abandon(name);
  return status;
}

Status Directory::TakeName(const std::string& from, const std::string& to) const {
  if (calls().RenameAt2(descriptor(), from.c_str(), to.c_str(), 0) == 0) return Code::kOk;
  return FailErrno("'%s' cannot be replaced", PathOf(to).c_str());
}

Result<bool> Directory::GiveName(const std::string& from, const std::string& to) const {
  int failed = calls().RenameAt2(descriptor(), from.c_str(), to.c_str(), RENAME_NOREPLACE);
  const bool is_linked = failed != 0 && (errno == EINVAL || errno == ENOSYS);
  if (is_linked) {
    // The file system has no rename that refuses to replace a file. A second link never replaces.
    failed = calls().LinkAt(descriptor(), from.c_str(), to.c_str());
    if (failed != 0 && errno != EEXIST && errno != ENOENT && errno != ENOSPC && errno != EDQUOT &&
        errno != EIO) {
      return Fail(
          Code::kUnsupported,
          "'%s' cannot be given its name: its file system can neither rename a file without "
          "replacing another nor make links (%s); use another file system",
          PathOf(to).c_str(), std::strerror(errno));
    }
  }
  if (failed == 0) return is_linked;
  if (errno == EEXIST) {
    return Fail(Code::kExists, "'%s' exists already; choose another name, or remove it",
                PathOf(to).c_str());
  }
  return FailErrno("'%s' cannot be given its name", PathOf(to).c_str());
}

Status Directory::Move(const std::string& from, const std::string& to) const {
  const Result<bool> has_both = GiveName(from, to);
  if (!has_both) return has_both.status();
  if (!*has_both) return Sync();
  // ORDER  the second name, synced  <  the first one is gone
  // WHY    a crash may keep the second of two changes of a directory and lose the first.
  // CRASH  before: the file has its first name, or both. After: both, or the second one.
  // TEST   os/file/directory_test: MoveNeverLeavesAFileWithoutAName
  MORSEL_TRY(Sync());
  const Status status = Remove(from);
  if (status.code() == Code::kPermission) Abandon(to);
  return status;
}

void Directory::Abandon(const std::string& temporary_name) const {
  const KeepLastError keep;
  (void)calls().UnlinkAt(descriptor(), temporary_name.c_str(), 0);
}

Status Directory::RemoveTemporaries() const {
  const Result<std::vector<std::string>> names = Names();
  if (!names) return names.status();
  for (const std::string& name : *names) {
    if (name.rfind(kTemporaryPrefix, 0) != 0) continue;
    const KeepLastError keep;
    // What cannot be opened may be made by another user at this moment.
    const Result<File> file = OpenFile(name, O_RDONLY);
    if (file && KeepFromWriting(*file)) Abandon(name);
  }
  return Code::kOk;
}

Status Directory::Remove(const std::string& name) const {
  if (calls().UnlinkAt(descriptor(), name.c_str(), 0) != 0) {
    return FailErrno("'%s' cannot be removed", PathOf(name).c_str());
  }
  return Sync();
}

Status Directory::Sync() const {
  if (calls().FSync(descriptor()) == 0) return Code::kOk;
  // Some file systems do not sync directories: they keep names durable by other means, or none that
  // a program could ask for.
  if (IsNotDoneHere(errno)) return Code::kOk;
  return FailErrno("the directory '%s' cannot be synced", path().c_str());
}

bool Directory::IsOnlyNameOf(const std::string& name, const File& file) const {
  struct stat found;
  const int failed = fstatat(file_.descriptor_at_open(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW);
  return failed == 0 && FileIdentity{found.st_dev, found.st_ino} == file.identity() &&
         found.st_nlink == 1;
}

Status Directory::CheckHasOneName(const std::string& name, const File& file) const {
  const Result<struct stat> status = file.Stat();
  if (!status) return status.status();
  if (status->st_nlink <= 1) return Code::kOk;
  return Fail(Code::kUnsupported,
              "'%s' has %lu names (hard links), and who writes it under one changes it under all: "
              "open it for reading, or remove the other names, or make a copy and write that",
              PathOf(name).c_str(), static_cast<unsigned long>(status->st_nlink));
}

Status Directory::CheckLeadsTo(const std::string& name, const File& file) const {
  if (const Result<struct stat> ours = file.Stat(); !ours) return ours.status();
  struct stat found;
  if (fstatat(descriptor(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) return FailErrno("'%s': stat", PathOf(name).c_str());
    return Fail(Code::kNotFound, "'%s' is not there any more: it was removed or renamed while open",
                PathOf(name).c_str());
  }
  if (FileIdentity{found.st_dev, found.st_ino} == file.identity()) return Code::kOk;
  return Fail(Code::kNotFound, "'%s' is another file now: it was replaced while open",
              PathOf(name).c_str());
}

}  // namespace morsel::os
