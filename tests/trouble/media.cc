#include "tests/trouble/media.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <vector>

namespace morsel::trouble {
namespace {

bool WriteTo(const char* path, const std::string& text) {
  return static_cast<bool>(std::ofstream(path) << text << std::flush);
}

// Whether this process may mount now, seen by nobody else.
bool HasMountsOfItsOwn() {
  const unsigned user = geteuid();
  const unsigned group = getegid();
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    (void)WriteTo("/proc/self/setgroups", "deny");
    if (!WriteTo("/proc/self/uid_map", "0 " + std::to_string(user) + " 1") ||
        !WriteTo("/proc/self/gid_map", "0 " + std::to_string(group) + " 1")) {
      return false;
    }
  }
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

}  // namespace

SmallDisk::SmallDisk(const std::string& folder) : folder_(folder) {
  mounted_ =
      HasMountsOfItsOwn() && mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=32m,mode=0755") == 0;
  std::printf("the small disk is %s\n", mounted_ ? "a tmpfs" : "a limit on files");
}

void SmallDisk::Fill() {
  if (!mounted_) {
    const rlimit limit = {16, RLIM_INFINITY};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    return;
  }
  const int file = open((folder_ + "/filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0);
  const std::vector<char> page(4096, 'x');
  while (write(file, page.data(), page.size()) > 0) {
  }
  close(file);
}

void SmallDisk::Free() {
  if (!mounted_) {
    const rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    return;
  }
  ASSERT_EQ(unlink((folder_ + "/filler").c_str()), 0);
}

void MountReadOnly(const std::string& folder) {
  if (HasMountsOfItsOwn() &&
      mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
      mount(nullptr, folder.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) == 0) {
    std::printf("read-only by a mount\n");
    return;
  }
  MakeUnwritable(folder);
}

void MakeUnwritable(const std::string& folder) {
  std::printf("read-only by permissions\n");
  ASSERT_EQ(chmod(folder.c_str(), 0555), 0);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    ASSERT_EQ(chmod(entry.path().c_str(), entry.is_directory() ? 0555 : 0444), 0);
  }
  GiveUpRights();
}

void GiveUpRights() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  ASSERT_EQ(syscall(SYS_capset, &header, none), 0);
}

}  // namespace morsel::trouble
