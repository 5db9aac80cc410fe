// Facts about a pool itself: its kind, its medium, what survives a power cut, its space.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"
#include "morsel/open/open_pool.h"
#include "morsel/pool/address_window.h"

namespace morsel::cli {

struct PoolFacts {
  bool carved = false;
  Id id{};
  Window window;
  std::string file_system;  ///< the kernel's name of it, e.g. "tmpfs"
  std::string medium_name;  ///< "device-dax", "fsdax", "memory", "ssd" or "file"
  std::string medium;       ///< the medium in words
  std::string granularity;  ///< the granularity in words, and whether it was forced
  std::string survives;     ///< which data survive the end of the process and a power cut, in words
  bool survives_power_off = false;
  /// Directory pools only, in words: the frames that a morsel gets if it is opened now, and how its
  /// checkpoints find the pages that were written.
  std::string frames;
  std::string dirty;
  uint64_t unit_bytes = 0;  ///< the unit that a carved pool is carved into
  uint64_t size_bytes = 0;  ///< the space for morsels; for a directory, that of the file system
  uint64_t free_bytes = 0;  ///< how much of size_bytes is free
};

/// Collects the facts about the pool.
/// Throws  Failure.
PoolFacts FactsOf(OpenPool& pool);

/// Prints a note if the new pool at `path` loses data at power-off. Prints nothing if this process
/// may not read the pool.
void WarnOfPowerOff(const std::string& path);

}  // namespace morsel::cli
