#include "os/file/file_rights.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace morsel::os {
namespace {

constexpr char kAclName[] = "system.posix_acl_access";

using AclEntry = posix_acl_xattr_entry;

std::vector<AclEntry> EntriesOf(const std::string& acl) {
  std::vector<AclEntry> entries;
  for (size_t at = sizeof(posix_acl_xattr_header); at + sizeof(AclEntry) <= acl.size();
       at += sizeof(AclEntry)) {
    AclEntry entry;
    std::memcpy(&entry, acl.data() + at, sizeof entry);
    entries.push_back(entry);
  }
  return entries;
}

// A list that says what the mode says. The kernel keeps none for it.
std::string AclOfMode(mode_t mode) {
  const auto entry = [](unsigned tag, mode_t rights) {
    return AclEntry{static_cast<__le16>(tag), static_cast<__le16>(rights & 7),
                    static_cast<__le32>(ACL_UNDEFINED_ID)};
  };
  const posix_acl_xattr_header header = {POSIX_ACL_XATTR_VERSION};
  const AclEntry entries[] = {entry(ACL_USER_OBJ, mode >> 6), entry(ACL_GROUP_OBJ, mode >> 3),
                              entry(ACL_OTHER, mode)};
  std::string acl(sizeof header + sizeof entries, '\0');
  std::memcpy(acl.data(), &header, sizeof header);
  std::memcpy(acl.data() + sizeof header, entries, sizeof entries);
  return acl;
}

// The list with the mode's rights for the owner, the mask and all others.
std::string WithMode(std::string acl, mode_t mode) {
  std::vector<AclEntry> entries = EntriesOf(acl);
  for (AclEntry& entry : entries) {
    if (entry.e_tag == ACL_USER_OBJ) entry.e_perm = mode >> 6 & 7;
    if (entry.e_tag == ACL_MASK) entry.e_perm = mode >> 3 & 7;
    if (entry.e_tag == ACL_OTHER) entry.e_perm = mode & 7;
  }
  std::memcpy(acl.data() + sizeof(posix_acl_xattr_header), entries.data(),
              entries.size() * sizeof(AclEntry));
  return acl;
}

bool SetAcl(const File& file, const std::string& acl) {
  return file.calls().FSetXAttr(file.descriptor(), kAclName, acl.data(), acl.size()) == 0;
}

bool SetGroup(const File& file, gid_t group) {
  const KeepLastError keep;
  const Result<struct stat> own = file.Stat();
  return own && (own->st_gid == group || file.calls().FChOwn(file.descriptor(), group) == 0);
}

}  // namespace

std::string AclOf(const File& file) {
  std::string acl;
  for (;;) {
    const ssize_t size = fgetxattr(file.descriptor(), kAclName, nullptr, 0);
    if (size <= 0) return {};
    acl.resize(static_cast<size_t>(size));
    const ssize_t read = fgetxattr(file.descriptor(), kAclName, acl.data(), acl.size());
    if (read < 0 && errno == ERANGE) continue;  // it has grown
    acl.resize(read > 0 ? static_cast<size_t>(read) : 0);
    return acl;
  }
}

FileRights WithoutAcl(const FileRights& rights) {
  if (rights.acl.empty()) return rights;
  const mode_t mask = rights.mode >> 3 & 7;
  mode_t group = 0;
  mode_t named = 7;  // what each whom the list names has
  for (const AclEntry& entry : EntriesOf(rights.acl)) {
    if (entry.e_tag == ACL_GROUP_OBJ) group = entry.e_perm & mask;
    if (entry.e_tag == ACL_USER || entry.e_tag == ACL_GROUP) named &= entry.e_perm & mask;
  }
  FileRights plain = rights;
  plain.acl.clear();
  plain.mode = (rights.mode & 0700) | (group & named) << 3 | (rights.mode & named);
  return plain;
}

FileRights WithoutGroup(const FileRights& rights) {
  FileRights plain = WithoutAcl(rights);
  const mode_t both = plain.mode & plain.mode >> 3 & 7;
  plain.group.reset();
  plain.mode = (plain.mode & 0700) | both << 3 | both;
  return plain;
}

// ORDER  the group  <  the list and the mode
// WHY    until then the file is its owner's alone: what one group may is not given to another.
// CRASH  no difference: the file has no name that counts yet.
// TEST   os/file/file_rights_test: UntilItHasItsGroupTheFileIsItsOwnersAlone
Status GiveRights(const File& file, const FileRights& rights) {
  if (!rights.group) return file.SetMode(rights.mode & 0777);
  FileRights given = SetGroup(file, *rights.group) ? rights : WithoutGroup(rights);
  if (!given.acl.empty() && !SetAcl(file, WithMode(given.acl, given.mode))) {
    given = WithoutAcl(given);
  }
  // What its directory has given it is not the other file's.
  if (given.acl.empty() && !AclOf(file).empty() && !SetAcl(file, AclOfMode(0600))) {
    given.mode &= ~mode_t{070};  // the mask of that list
  }
  return file.SetMode(given.mode & 0777);
}

}  // namespace morsel::os
