// A folder that a benchmark has for itself.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "bench/place.h"

namespace bench {

/// Made in `parent`, and removed with all that is in it when the benchmark is done. One that fails
/// leaves it.
class ScratchFolder {
 public:
  ScratchFolder(const std::string& parent, const char* name)
      : path_(parent + "/morsel-" + name + "-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) Fail("making a folder", parent.c_str());
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bench
