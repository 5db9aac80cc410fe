#include "pmem/media/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "base/descriptor_floor.h"

namespace morsel::pmem {
namespace {

// Calls `visit` with each line of a file of /proc, until it returns false.
template <class Visit>
void ForEachLine(const std::string& path, Visit visit) {
  const DescriptorFloor floor;
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return;
  std::string line;
  char part[256];
  bool more = true;
  while (more && std::fgets(part, sizeof part, file) != nullptr) {
    line += part;
    if (line.back() != '\n') continue;
    line.pop_back();
    more = visit(line);
    line.clear();
  }
  std::fclose(file);
}

// Returns the number of the path's mount, with which its line in /proc/self/mountinfo begins, or
// "". The path's device number would not do, because some file systems have one for each subvolume.
std::string MountIdOf(const std::string& path) {
  const DescriptorFloor floor;
  const int descriptor = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (descriptor < 0) return "";
  std::string mount_id;
  ForEachLine("/proc/self/fdinfo/" + std::to_string(descriptor), [&](const std::string& line) {
    char number[32] = "";
    const bool found = std::sscanf(line.c_str(), "mnt_id: %31s", number) == 1;
    if (found) mount_id = number;
    return !found;
  });
  close(descriptor);
  return mount_id;
}

}  // namespace

std::string FileSystemOf(const std::string& path) {
  const std::string mount_id = MountIdOf(path);
  std::string type = "unknown";
  if (mount_id.empty()) return type;
  ForEachLine("/proc/self/mountinfo", [&](const std::string& line) {
    if (!line.starts_with(mount_id + " ")) return true;
    const size_t separator = line.find(" - ");
    if (separator == std::string::npos) return false;
    const size_t begin = separator + 3;
    type = line.substr(begin, line.find(' ', begin) - begin);
    return false;
  });
  return type;
}

}  // namespace morsel::pmem
