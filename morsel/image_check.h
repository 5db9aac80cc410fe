// What is wrong with the images of a directory, each by itself and all together.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "morsel/pool.h"
#include "pmem/directory.h"

namespace morsel {

/// Reads each image whole, and compares their ids and address ranges.
/// Errors  kNoMemory.
Status CheckImages(const pmem::Directory& directory, const std::vector<std::string>& names,
                   const std::function<void(const Finding&)>& report);

}  // namespace morsel
