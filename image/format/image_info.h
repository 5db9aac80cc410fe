// A morsel as its image says it.
#pragma once

#include <cstdint>

#include "base/random.h"
#include "image/format/layout.h"

namespace morsel::pmem::image {

/// As superblocks have it.
enum class Contract : uint32_t { kSnapshot = 0, kFine = 1 };

struct ImageInfo {
  Id id{};
  uint64_t base = 0;
  uint64_t capacity_bytes = 0;  ///< a multiple of kSubtreeBytes
  uint64_t size_bytes = 0;      ///< the same
  uint64_t live_bytes = 0;      ///< at the last checkpoint or close
  uint64_t generation = 0;
  Contract contract = Contract::kSnapshot;
  bool grows = false;          ///< created with size 0: it grows as it is used
  Codec codec = Codec::kNone;  ///< of leaves that are written; set when created
  bool giant = false;          ///< of 1 GiB subtrees
};

}  // namespace morsel::pmem::image
