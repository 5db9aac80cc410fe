// The pages of a morsel that lie elsewhere than in their leaves, as memory keeps them.
#pragma once

#include <cstdint>
#include <map>

#include "base/checksum.h"

namespace morsel::image {

/// Where the newest version of a page lies, in a record of the log or by a list.
struct UnsettledPage {
  uint64_t offset;  ///< in the file
  Sum128 sum;
};

/// By the page's number in the morsel.
using UnsettledPages = std::map<uint64_t, UnsettledPage>;

}  // namespace morsel::image
