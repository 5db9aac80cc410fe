// What is told of a crash of a disk that the code under test does not get over.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/disk/disk_choices.h"
#include "sim/disk/file_target.h"

namespace morsel::sim {

struct DiskCrash {
  bool kill = false;                       ///< the process only: the disk keeps what is visible
  uint64_t calls = 0;                      ///< it came after so many calls that changed something
  std::shared_ptr<const CallSite> newest;  ///< the last of them
  std::vector<LostCall> lost;
};

struct FileFailure {
  std::string target;
  std::string message;
  uint64_t seed = 0;
  FileScript script;               ///< of the first incarnation
  Fault fault;                     ///< in the first incarnation
  std::vector<DiskCrash> crashes;  ///< one for each incarnation that ended by one
  Disk disk;                       ///< what the incarnation that failed found
  Promises promises;               ///< what it was promised
};

/// In words, with source lines.
std::string Describe(const FileFailure& failure, const FileTarget& target);

/// The fault in words; empty where there is none.
std::string InWords(const Fault& fault);

/// Copies what the failing incarnation found to a directory of its own; answers its path, or an
/// empty one where that cannot be done.
std::string Keep(const FileFailure& failure, Sandbox& sandbox);

}  // namespace morsel::sim
