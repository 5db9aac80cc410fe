// A real directory on a memory file system that shows what is visible of a
// simulated disk: open, stat, readdir, flock and mmap are the kernel's own there,
// so that code under test runs as it is, whatever it calls beside the seam.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "os/testing/scratch_testing.h"
#include "sim/disk/disk.h"

namespace morsel::sim {

/// Ownership  the directory is removed with the object.
/// Threads    one.
class Sandbox {
 public:
  Sandbox();
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  /// The simulated disk's root directory; always the same path.
  const std::string& root() const { return root_; }

  /// Makes the directory show the disk.
  void Show(const Disk& disk);

  /// It has come to show this disk by what was done in it.
  void Shows(const Disk& disk);

  /// What its files hold is not known any more.
  void Distrust();

  /// What of the disk a descriptor or a path is, if anything.
  std::optional<NodeId> NodeOf(int descriptor) const;
  std::optional<NodeId> NodeAt(int directory, const std::string& path) const;

  /// The file or directory `name` below `directory`, open as `descriptor`, is `node` from now on.
  void Adopt(int directory, const char* name, int descriptor, NodeId node);

  /// Where the bytes of a file are, whatever its names.
  std::string StorePathOf(NodeId node) const;

  /// Copies what is shown to `path`, for a person.
  bool CopyTo(const std::string& path) const;

 private:
  /// A file that keeps its bytes from one Show() to the next.
  struct Slot {
    int descriptor = -1;
    Content shown;
    bool is_on = false;  ///< since the last Show(); others keep what they showed before
  };

  void Forget(NodeId node);
  void ShowDirectory(const Disk& disk, NodeId id, const std::string& path);
  void ShowFile(const Node& node, NodeId id, const std::string& path);

  pmem::Scratch scratch_ = pmem::Scratch::InMemory();
  std::string root_ = scratch_.At("disk");
  std::map<NodeId, Slot> slots_;
  std::unordered_map<ino_t, NodeId> nodes_;
};

}  // namespace morsel::sim
