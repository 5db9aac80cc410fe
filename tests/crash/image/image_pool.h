// The pool that writer and checker of the snapshot contract share.
#pragma once

#include <string>

#include "morsel/morsel.h"
#include "tests/crash/image/image_log.h"
#include "tests/crash/image/library.h"

namespace morsel::crash {

inline constexpr char kImageName[] = "library";
inline constexpr char kLibraryRoot[] = "library";
inline constexpr char kImageSideName[] = "side";
inline constexpr char kImageSideRoot[] = "only";
inline constexpr uint64_t kImageCapacityBytes = uint64_t{256} << 20;
inline constexpr Object kImageSideObject = {
    .serial = 1, .owner = kLibraryPartitions, .size_bytes = 50'000, .seed = 7};

/// Makes the pool and the morsel with a library, and logs its first checkpoint. Calls Fail() on
/// failure.
void MakeImagePool(const std::string& path, ImageLog& log);

Library* LibraryOf(morsel_t* morsel);

/// Describes the morsel now, as the next checkpoint will have it. If not `quiet`, other threads are
/// in the allocator.
LoggedCheckpoint DescribeCheckpoint(morsel_t* morsel, bool quiet, Failure& failure);

/// The generation of the morsel on the medium.
uint64_t GenerationOf(morsel_t* morsel, Failure& failure);

}  // namespace morsel::crash
