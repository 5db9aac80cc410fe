// What an image says about its morsel.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"
#include "image/format/layout.h"

namespace morsel::image {

/// The numbers are those in the superblock.
enum class Contract : uint32_t { kSnapshot = 0, kFine = 1 };

/// A morsel as its image's newest superblock describes it.
struct ImageInfo {
  Id id{};
  uint64_t base = 0;
  uint64_t capacity_bytes = 0;  ///< a multiple of kSubtreeBytes
  uint64_t size_bytes = 0;      ///< a multiple of kSubtreeBytes, at most the capacity
  uint64_t live_bytes = 0;      ///< of allocated blocks, at the last checkpoint or close
  uint64_t generation = 0;      ///< 1 when created
  Contract contract = Contract::kSnapshot;
  bool grows = false;          ///< created with size 0: it grows as it is used
  Codec codec = Codec::kNone;  ///< compresses the leaves that are written; set when created
  bool giant = false;          ///< was made of subtrees of 1 GiB, in a carved pool
  /// What the morsel was called where it was exported, which nobody has checked; empty: the image
  /// is no export, or one of a library that did not write names.
  std::string carried_name{};
  /// One of the two superblocks was not valid when the image was opened, and should have been: a
  /// checkpoint after `generation` is lost if that one alone could be written.
  bool may_be_older = false;
};

}  // namespace morsel::image
