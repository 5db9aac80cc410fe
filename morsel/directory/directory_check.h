// Checks the files of a directory pool's morsels, each by itself and against each other.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "morsel/pool/pool.h"
#include "os/file/directory.h"

namespace morsel {

/// Reads each image in `images` whole and the metadata of each fine morsel's file in `direct`, and
/// compares the ids and address ranges of all. What is wrong is reported, and is not an error.
/// Errors  kNoMemory.
Status CheckFiles(const os::Directory& directory, const std::vector<std::string>& images,
                  const std::vector<std::string>& direct,
                  const std::function<void(const Finding&)>& report);

}  // namespace morsel
