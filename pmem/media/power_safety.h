// Whether what is flushed survives a power failure, as far as the platform says. That stores become
// durable by cache lines is no proof of it.
#pragma once

#include <string>

namespace morsel::pmem {

/// The answer, for programs and for people.
struct PowerSafety {
  bool survives = false;      ///< the platform says that flushed stores survive
  const char* words = "";     ///< the same in plain words; a static string
  bool keeps_caches = false;  ///< stores survive also if they were never flushed
};

/// The power safety of the device-dax device `path`, or of the device below the file system that
/// `path` is on. If it cannot be found out, the answer is that nothing survives.
PowerSafety PowerSafetyOf(const std::string& path);

/// The power safety of a device by its folder in /sys, whose path has no symbolic links.
PowerSafety PowerSafetyBelow(const std::string& folder);

}  // namespace morsel::pmem
