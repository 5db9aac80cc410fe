// What can be known of a pool without its morsels: kind, medium, promise, space.
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
  std::string medium;       ///< in words
  std::string granularity;  ///< in words, and whether it was forced
  std::string survives;     ///< what of the data outlives a process, and a power cut
  bool survives_power_off = false;
  /// Of a directory, in words: what a morsel that is opened now lies in, and how its checkpoints
  /// find what was written.
  std::string frames;
  std::string dirty;
  uint64_t unit_bytes = 0;  ///< what a carved pool is carved into
  uint64_t size_bytes = 0;  ///< what there is for morsels; of a directory, the file system's
  uint64_t free_bytes = 0;  ///< of that
};

/// Throws  Failure.
PoolFacts FactsOf(OpenPool& pool);

/// Says of a new pool, once, that it loses data at power-off; nothing where it does not, or where
/// its mode keeps this process from looking.
void WarnOfPowerOff(const std::string& path);

}  // namespace morsel::cli
