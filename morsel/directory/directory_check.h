// What is wrong with the morsels' files of a directory, each by itself and all together.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "morsel/pool/pool.h"
#include "os/file/directory.h"

namespace morsel {

/// Reads each image whole, and the metadata of each fine morsel's file, whose names are in
/// `direct`; compares the ids and address ranges of all.
/// Errors  kNoMemory.
Status CheckFiles(const pmem::Directory& directory, const std::vector<std::string>& images,
                  const std::vector<std::string>& direct,
                  const std::function<void(const Finding&)>& report);

}  // namespace morsel
