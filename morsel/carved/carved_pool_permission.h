// Whether somebody may do something with a morsel, by the owner and mode that
// the catalog has for it, as a file system would judge.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/pool/pool.h"

namespace morsel {

/// Who asks.
struct Identity {
  uint32_t user = 0;
  std::vector<uint32_t> groups;

  /// This process, with its effective ids.
  static Identity OfProcess();
};

/// Errors  kPermission. Root passes.
Status MayOpen(const Identity& who, const CatalogRecord& record, bool read_only,
               const std::string& subject);

/// The owner may, and who may write.
/// Errors  kPermission. Root passes.
Status MayRemove(const Identity& who, const CatalogRecord& record, const std::string& subject);

}  // namespace morsel
