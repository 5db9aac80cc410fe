#include "morsel/carved/carved_pool_permission.h"

#include <unistd.h>

#include <algorithm>

#include "base/error.h"

namespace morsel {
namespace {

constexpr uint32_t kRead = 4;
constexpr uint32_t kWrite = 2;

bool May(const Identity& who, const CatalogRecord& record, uint32_t wanted) {
  if (who.user == 0) return true;
  const bool is_of_group =
      std::find(who.groups.begin(), who.groups.end(), record.group) != who.groups.end();
  const uint32_t shift = who.user == record.user ? 6 : is_of_group ? 3 : 0;
  return (record.mode >> shift & wanted) == wanted;
}

Status Refuse(const Identity& who, const CatalogRecord& record, const char* what,
              const std::string& subject) {
  return Fail(Code::kPermission,
              "%s belongs to user %u and has mode 0%o: it may not be %s by user %u",
              subject.c_str(), record.user, record.mode, what, who.user);
}

}  // namespace

Identity Identity::OfProcess() {
  Identity who;
  who.user = geteuid();
  who.groups.push_back(getegid());
  const int count = getgroups(0, nullptr);
  if (count > 0) {
    std::vector<gid_t> more(static_cast<size_t>(count));
    const int got = getgroups(count, more.data());
    if (got > 0) who.groups.insert(who.groups.end(), more.begin(), more.begin() + got);
  }
  return who;
}

Status MayOpen(const Identity& who, const CatalogRecord& record, bool read_only,
               const std::string& subject) {
  if (May(who, record, read_only ? kRead : kRead | kWrite)) return Code::kOk;
  return Refuse(who, record, read_only ? "opened for reading" : "opened for writing", subject);
}

Status MayRemove(const Identity& who, const CatalogRecord& record, const std::string& subject,
                 const char* what) {
  if (who.user == record.user || May(who, record, kWrite)) return Code::kOk;
  return Refuse(who, record, what, subject);
}

}  // namespace morsel
