// The newest pages that a log has, as memory keeps them.
#pragma once

#include <cstdint>
#include <map>

#include "base/checksum.h"

namespace morsel::image {

struct LoggedPage {
  uint64_t offset;  ///< in the file
  Sum128 sum;
};

/// By the page's number in the morsel.
using LoggedPages = std::map<uint64_t, LoggedPage>;

}  // namespace morsel::image
