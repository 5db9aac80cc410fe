// A real directory on a memory file system that shows what is visible on a simulated disk. The
// kernel itself answers open, stat, readdir, flock and mmap there, so code under test runs
// unchanged, whatever it calls beside the seam.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "os/testing/scratch_testing.h"
#include "sim/disk/disk.h"

namespace morsel::sim {

/// Ownership  the destructor removes the directory.
/// Threads    one.
class Sandbox {
 public:
  Sandbox();
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  /// The root directory of the simulated disk. Its path never changes.
  const std::string& root() const { return root_; }

  /// Makes the directory show this disk.
  void Show(const Disk& disk);

  /// Notes that the directory shows this disk already, by the calls that were made in it.
  void Shows(const Disk& disk);

  /// Notes that the content of its files is no longer known.
  void Distrust();

  /// The node of the disk behind a descriptor or a path, if there is one.
  std::optional<NodeId> NodeOf(int descriptor) const;
  std::optional<NodeId> NodeAt(int directory, const std::string& path) const;

  /// From now on the file or directory `name` below `directory`, open as `descriptor`, is `node`.
  void Adopt(int directory, const char* name, int descriptor, NodeId node);

  /// A path of the bytes of a file, independent of its names; "" if it was never shown.
  std::string BytesOf(NodeId node) const;

  /// Copies what is shown to `path`, for a person to look at.
  bool CopyTo(const std::string& path) const;

 private:
  /// A file that keeps its bytes from one Show() to the next. While it is not shown, it has a name
  /// in a folder of its own; while it is, it has those names alone that the disk gives it.
  struct Slot {
    int descriptor = -1;
    Content shown;
    bool is_on = false;  ///< since the last Show(); other slots keep what they showed before
  };

  std::string StorePathOf(NodeId node) const;
  void Park();
  void Forget(NodeId node);
  void ShowDirectory(const Disk& disk, NodeId id, const std::string& path);
  void ShowFile(const Node& node, NodeId id, const std::string& path);

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string root_ = scratch_.At("disk");
  std::map<NodeId, Slot> slots_;
  std::unordered_map<ino_t, NodeId> nodes_;
};

}  // namespace morsel::sim
