// Decides whether a user may open, remove or rename a morsel, by the owner and mode that the
// catalog keeps for it, with the rules of a file system.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/pool/pool.h"

namespace morsel {

/// The user who asks.
struct Identity {
  uint32_t user = 0;
  std::vector<uint32_t> groups;

  /// The effective user of this process, and its groups.
  static Identity OfProcess();
};

/// Checks that `who` may open the morsel. Root always may.
/// Errors  kPermission.
Status MayOpen(const Identity& who, const CatalogRecord& record, bool read_only,
               const std::string& subject);

/// Checks that `who` may remove the morsel or its name: its owner, whoever may write to it, and
/// root may. `what` is what the message says of it, e.g. "removed".
/// Errors  kPermission.
Status MayRemove(const Identity& who, const CatalogRecord& record, const std::string& subject,
                 const char* what);

}  // namespace morsel
