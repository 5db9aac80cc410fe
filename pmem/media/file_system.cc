#include "pmem/media/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/descriptor_floor.h"

namespace morsel::pmem {
namespace {

// Returns the number of the path's mount, with which its line in /proc/self/mountinfo begins, or
// "". The path's device number would not do, because some file systems have one for each subvolume.
std::string MountIdOf(const std::string& path) {
  const DescriptorFloor floor;
  const int descriptor = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (descriptor < 0) return "";
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(descriptor));
  std::string mount_id;
  for (std::string name, value; info >> name >> value;) {
    if (name == "mnt_id:") mount_id = value;
  }
  close(descriptor);
  return mount_id;
}

}  // namespace

std::string FileSystemOf(const std::string& path) {
  const std::string mount_id = MountIdOf(path);
  const DescriptorFloor floor;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; !mount_id.empty() && std::getline(mounts, line);) {
    if (!line.starts_with(mount_id + " ")) continue;
    const size_t separator = line.find(" - ");
    if (separator == std::string::npos) break;
    std::string type;
    std::istringstream(line.substr(separator + 3)) >> type;
    return type;
  }
  return "unknown";
}

}  // namespace morsel::pmem
