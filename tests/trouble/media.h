// Media that fail, visible to one process only.
#pragma once

#include <string>

namespace morsel::trouble {

/// A disk that can be filled and emptied. Only the child process that makes it sees it. Where
/// namespaces are allowed, it is a small tmpfs over `folder`; else it is a limit on the length of
/// files, at which writes fail as on a full disk.
class SmallDisk {
 public:
  /// Mounts the disk. Call it in a process that may get a namespace of its own.
  explicit SmallDisk(const std::string& folder);

  /// From now on no file grows.
  void Fill();
  /// From now on files grow again.
  void Free();
  /// Whether it is a tmpfs: what a file has can be written over when it is full.
  bool is_tmpfs() const { return mounted_; }
  /// What a message about it has to advise.
  const char* advice() const { return mounted_ ? "make room" : "raise the file size limit"; }

 private:
  std::string folder_;
  bool mounted_ = false;
};

/// Makes `folder` read-only for this process: by a read-only mount where namespaces are allowed,
/// else as MakeUnwritable().
void MountReadOnly(const std::string& folder);

/// Takes from this process the right to write in `folder` and below. It changes the modes of
/// everything there and, as root, drops its capabilities.
void MakeUnwritable(const std::string& folder);

/// From now on this process goes by modes, also if it is root, as it has no capabilities. (To
/// become somebody else is not allowed in every sandbox where one is root.)
void GiveUpRights();

}  // namespace morsel::trouble
