// Media that fail, made for one process.
#pragma once

#include <string>

namespace morsel::trouble {

/// A disk that can be filled and emptied. Made in a child process, for which alone it is there: a
/// small tmpfs over `folder` where namespaces are allowed, else a limit on the length of files,
/// which every write beyond it meets just as it meets a full disk.
class SmallDisk {
 public:
  /// Mounts it. Call in a process that may end up in a namespace of its own.
  explicit SmallDisk(const std::string& folder);

  /// From now on no file grows.
  void Fill();
  /// Until now.
  void Free();
  /// What a sentence has to advise who meets it.
  const char* advice() const { return mounted_ ? "make room" : "raise the file size limit"; }

 private:
  std::string folder_;
  bool mounted_ = false;
};

/// Makes `folder` read-only for this process: by a read-only mount where namespaces are allowed,
/// else as MakeUnwritable().
void MountReadOnly(const std::string& folder);

/// Takes the right to write in `folder` and below from this process: by the modes of all that is
/// there, and, as root, by giving up its capabilities.
void MakeUnwritable(const std::string& folder);

}  // namespace morsel::trouble
