#include "morsel/carved_pool_permission.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace morsel {
namespace {

constexpr uint32_t kRead = 4;
constexpr uint32_t kWrite = 2;

bool IsOfGroup(uint32_t group) {
  if (getegid() == group) return true;
  const int count = getgroups(0, nullptr);
  if (count <= 0) return false;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  const int got = getgroups(count, groups.data());
  return got > 0 && std::find(groups.begin(), groups.begin() + got, group) != groups.begin() + got;
}

// The three bits of the mode that are about this process.
uint32_t BitsOf(const Record& record) {
  if (geteuid() == record.user) return record.mode >> 6 & 7;
  return IsOfGroup(record.group) ? record.mode >> 3 & 7 : record.mode & 7;
}

bool May(const Record& record, uint32_t wanted) {
  return geteuid() == 0 || (BitsOf(record) & wanted) == wanted;
}

}  // namespace

Status MayOpen(const Record& record, bool read_only, const std::string& subject) {
  if (May(record, read_only ? kRead : kRead | kWrite)) return Code::kOk;
  return Fail(Code::kPermission, "%s of user %u with mode 0%o may not be opened %s by user %u",
              subject.c_str(), record.user, record.mode, read_only ? "for reading" : "for writing",
              geteuid());
}

Status MayRemove(const Record& record, const std::string& subject) {
  if (geteuid() == record.user || May(record, kWrite)) return Code::kOk;
  return Fail(Code::kPermission, "%s of user %u with mode 0%o may not be removed by user %u",
              subject.c_str(), record.user, record.mode, geteuid());
}

}  // namespace morsel
