#include "morsel/registry/registered_pool.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <bit>
#include <cerrno>

#include "morsel/pool/pool_id.h"

namespace morsel {

FileSystemOf FileSystemAt(const std::string& path) {
  std::string at = path;
  for (;;) {
    struct statfs status;
    if (statfs(at.empty() ? "/" : at.c_str(), &status) == 0) {
      return {std::bit_cast<uint64_t>(status.f_fsid), static_cast<uint64_t>(status.f_type)};
    }
    if (at.empty() || (errno != ENOENT && errno != ENOTDIR)) return {};
    at.erase(at.find_last_of('/') == std::string::npos ? 0 : at.find_last_of('/'));
  }
}

Presence PresenceOf(const RegisteredPoolSlot& slot) {
  // What a device holds is there when its driver is.
  if (slot.path_bytes == 0 || slot.is_device != 0) return Presence::kUnknown;
  const std::string path(slot.path, slot.path_bytes);
  struct stat status;
  bool is_there = stat(path.c_str(), &status) == 0;
  if (is_there && S_ISDIR(status.st_mode)) {
    is_there = stat((path + "/" + kPoolFileName).c_str(), &status) == 0;
  }
  if (!is_there && errno != ENOENT && errno != ENOTDIR) return Presence::kUnknown;
  if (is_there && PoolIdAt(path).value_or(slot.id) == slot.id) return Presence::kThere;
  const FileSystemOf now = FileSystemAt(path);
  // What was in memory is gone when another memory is there.
  const bool was_in_memory = slot.file_system_type == TMPFS_MAGIC && now.type == TMPFS_MAGIC;
  const bool is_same = now.id == slot.file_system_id && now.type == slot.file_system_type;
  return is_same || was_in_memory ? Presence::kGone : Presence::kUnknown;
}

}  // namespace morsel
