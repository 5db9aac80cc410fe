// Where a test keeps its files while it runs.
#pragma once

#include <string>

namespace morsel::pmem {

/// A folder of its own. It is removed with the object, unless Keep() was called. What earlier runs
/// left in the same place, because they were killed or kept it, is removed when one is made.
class Scratch {
 public:
  /// In /dev/shm where that can be written, which stands in for persistent memory.
  static Scratch InMemory();
  /// In $TEST_TMPDIR.
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

/// What the file holds.
std::string BytesOf(const std::string& path);

}  // namespace morsel::pmem
