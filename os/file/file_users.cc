#include "os/file/file_users.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cctype>
#include <cinttypes>
#include <cstdio>
#include <functional>
#include <vector>

#include "base/descriptor_floor.h"

namespace morsel::os {
namespace {

// The entries of a folder of /proc; none if it cannot be read.
std::vector<std::string> EntriesIn(const std::string& folder) {
  std::vector<std::string> names;
  const DescriptorFloor floor;
  DIR* const entries = opendir(folder.c_str());
  if (entries == nullptr) return names;
  while (const dirent* const entry = readdir(entries)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  closedir(entries);
  return names;
}

std::vector<std::string> Processes() {
  std::vector<std::string> names = EntriesIn("/proc");
  std::erase_if(names, [](const std::string& name) {
    return std::isdigit(static_cast<unsigned char>(name[0])) == 0;
  });
  return names;
}

// Whether a line of the file is one that `is_it` looks for.
bool AnyLine(const std::string& path, const std::function<bool(const char* line)>& is_it) {
  const DescriptorFloor floor;
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return false;
  bool found = false;
  char line[256];
  while (!found && std::fgets(line, sizeof line, file) != nullptr) found = is_it(line);
  std::fclose(file);
  return found;
}

// Names the first process of which `is_it` says so of a descriptor; empty if there is none.
std::string ProcessWhose(
    const std::function<bool(const std::string& process, const std::string& descriptor)>& is_it) {
  for (const std::string& process : Processes()) {
    for (const std::string& descriptor : EntriesIn("/proc/" + process + "/fdinfo")) {
      if (!is_it(process, descriptor)) continue;
      return process == std::to_string(getpid()) ? "this process" : "process " + process;
    }
  }
  return "";
}

std::string InfoPath(const std::string& process, const std::string& descriptor) {
  return "/proc/" + process + "/fdinfo/" + descriptor;
}

}  // namespace

std::string HolderOfLock(const File& file, uint64_t begin) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return "another process";
  const auto is_lock = [&](const char* line) {
    unsigned device_major = 0;
    unsigned device_minor = 0;
    uint64_t inode = 0;
    uint64_t locked = 0;
    return std::sscanf(line, "lock: %*s OFDLCK %*s WRITE %*s %x:%x:%" SCNu64 " %" SCNu64,
                       &device_major, &device_minor, &inode, &locked) == 4 &&
           inode == status.st_ino && device_major == major(status.st_dev) &&
           device_minor == minor(status.st_dev) && locked == begin;
  };
  const std::string holder = ProcessWhose([&](const auto& process, const auto& descriptor) {
    return AnyLine(InfoPath(process, descriptor), is_lock);
  });
  return holder.empty() ? "another process" : holder;
}

std::string OtherWriterOf(const File& file) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return "";
  const std::string own = std::to_string(getpid());
  const auto writes = [](const char* line) {
    unsigned flags = 0;
    return std::sscanf(line, "flags: %o", &flags) == 1 && (flags & O_ACCMODE) != O_RDONLY;
  };
  return ProcessWhose([&](const auto& process, const auto& descriptor) {
    if (process == own && descriptor == std::to_string(file.descriptor())) return false;
    struct stat other;
    return stat(("/proc/" + process + "/fd/" + descriptor).c_str(), &other) == 0 &&
           other.st_dev == status.st_dev && other.st_ino == status.st_ino &&
           AnyLine(InfoPath(process, descriptor), writes);
  });
}

int ReadersOfByte(const File& file, uint64_t byte) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return 0;
  int here = 0;
  int anywhere = 0;
  AnyLine("/proc/locks", [&](const char* line) {
    unsigned device_major = 0;
    unsigned device_minor = 0;
    uint64_t inode = 0;
    uint64_t begin = 0;
    uint64_t last = 0;
    if (std::sscanf(line, "%*d: OFDLCK %*s READ %*d %x:%x:%" SCNu64 " %" SCNu64 " %" SCNu64,
                    &device_major, &device_minor, &inode, &begin, &last) == 5 &&
        inode == status.st_ino && begin == byte && last == byte) {
      ++anywhere;
      here += device_major == major(status.st_dev) && device_minor == minor(status.st_dev) ? 1 : 0;
    }
    return false;
  });
  // Some file systems (btrfs) have another device in stat(2) than in /proc.
  return here > 0 ? here : anywhere;
}

std::string OtherUserOfDevice(dev_t device) {
  const auto leads_there = [&](const std::string& path) {
    struct stat status;
    return stat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == device;
  };
  for (const std::string& process : Processes()) {
    if (process == std::to_string(getpid())) continue;
    // What has it mapped may have closed the descriptor since.
    for (const char* kind : {"/fd/", "/map_files/"}) {
      const std::string folder = "/proc/" + process + kind;
      for (const std::string& entry : EntriesIn(folder)) {
        if (leads_there(folder + entry)) return "process " + process;
      }
    }
  }
  return "";
}

}  // namespace morsel::os
