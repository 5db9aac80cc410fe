// The description of a crash of a disk from which the code under test does not recover.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/disk/disk_choices.h"
#include "sim/disk/file_target.h"

namespace morsel::sim {

struct DiskCrash {
  bool kill = false;   ///< only the process died: the disk keeps what is visible
  uint64_t calls = 0;  ///< how many calls that changed something precede it
  std::shared_ptr<const CallSite> newest;  ///< the last of them
  std::vector<LostCall> lost;
};

struct FileFailure {
  std::string target;
  std::string message;
  uint64_t seed = 0;
  FileScript script;               ///< of the first incarnation
  Fault fault;                     ///< in the first incarnation
  std::vector<DiskCrash> crashes;  ///< one for each incarnation that a crash ended
  Disk disk;                       ///< what the failing incarnation found
  Promises promises;               ///< what had been promised
};

/// Describes the failure in words, with source lines.
std::string Describe(const FileFailure& failure, const FileTarget& target);

/// Describes the fault in words; empty if there is none.
std::string InWords(const Fault& fault);

/// Copies what the failing incarnation found to a new directory. Returns its path, or an empty one
/// if that fails.
std::string Keep(const FileFailure& failure, Sandbox& sandbox);

}  // namespace morsel::sim
