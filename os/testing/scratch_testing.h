// For tests: a folder for files while a test runs.
#pragma once

#include <string>

namespace morsel::os {

/// A new folder. The destructor removes it, unless Keep() was called. The constructor removes
/// folders that earlier runs left in the same place because they were killed or kept theirs.
class Scratch {
 public:
  /// Makes a folder in /dev/shm, which stands in for persistent memory; OnDisk() if /dev/shm cannot
  /// be written.
  static Scratch InMemory();
  /// Makes a folder in $TEST_TMPDIR, or in /tmp.
  static Scratch OnDisk();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  const std::string& path() const { return path_; }
  std::string At(const std::string& name) const { return path_ + "/" + name; }
  void Keep() { kept_ = true; }

 private:
  explicit Scratch(const std::string& place);

  std::string path_;
  int lock_ = -1;
  bool kept_ = false;
};

/// All bytes of the file.
std::string BytesOf(const std::string& path);

}  // namespace morsel::os
