// Whether what is flushed outlives the power, as far as the platform says: that
// stores become durable by cache lines is no proof.
#pragma once

#include <string>

namespace morsel::pmem {

struct PowerSafety {
  bool survives = false;      ///< the platform says that it does
  const char* words = "";     ///< the same in plain words; static
  bool keeps_caches = false;  ///< stores survive that were never flushed
};

/// Of the persistent memory below a device-dax device, or below the file system that `path` is on.
/// What cannot be found out is unknown, and so does not survive.
PowerSafety PowerSafetyOf(const std::string& path);

/// Likewise of a device's folder in the kernel's tree, all links followed.
PowerSafety PowerSafetyBelow(const std::string& folder);

}  // namespace morsel::pmem
