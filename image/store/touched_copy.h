// Copies pages of memory, and reads only those that were touched.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/units.h"
#include "os/memory/page_set.h"

namespace morsel::image {

/// The touched pages of memory of which all is read.
inline const os::PageSet::Pages kAllPages = os::PageSet::Pages().set();

/// Copies a page of `subtree` to `to`. A page that was not touched is not read: it is zero.
inline void CopyPage(char* to, const char* subtree, uint32_t page,
                     const os::PageSet::Pages& touched) {
  if (touched.test(page)) {
    std::memcpy(to, subtree + page * kPageBytes, kPageBytes);
  } else {
    std::memset(to, 0, kPageBytes);
  }
}

}  // namespace morsel::image
