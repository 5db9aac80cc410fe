// Who may do what with a file, for a file that is made of another one.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::os {

/// The rights of a file.
struct FileRights {
  /// Those of a file whose maker has a wish for its mode alone: the group and the access control
  /// list are what its directory gives it.
  FileRights(mode_t bits) : mode(bits) {}  // NOLINT
  /// Those of `mode`, `group` and `acl`, all three.
  FileRights(mode_t bits, gid_t its_group, std::string its_acl)
      : mode(bits), group(its_group), acl(std::move(its_acl)) {}

  mode_t mode;  ///< permission bits; with an access control list the group's are its mask
  std::optional<gid_t> group = std::nullopt;
  std::string acl = {};  ///< as system.posix_acl_access has it; empty: the mode says all
};

/// Returns the file's access control list; empty: it has none, or its file system has none.
std::string AclOf(const File& file);

/// Returns rights without an access control list that give nobody more than `rights` do: not the
/// mask to the group, nor what all others have to somebody whom the list gives less.
FileRights WithoutAcl(const FileRights& rights);

/// Returns rights for a file that has another group than `rights` say. They give nobody more: that
/// group and all others have what both the group and all others had, and whom the list names is one
/// of these.
FileRights WithoutGroup(const FileRights& rights);

/// Gives a new file, which has another group and list at most, these rights. Where the process may
/// not give the group, or the file system takes no list, it gets those of WithoutGroup() or
/// WithoutAcl().
/// Errors  as File::SetMode().
Status GiveRights(const File& file, const FileRights& rights);

}  // namespace morsel::os
