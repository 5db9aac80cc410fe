// Copies memory of which only what was touched is read.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/units.h"
#include "os/memory/page_set.h"

namespace morsel::pmem::image {

/// Of memory that is read as it is.
inline const PageSet::Pages kAllPages = PageSet::Pages().set();

/// Copies a subtree's page, which is zero where it is not one of those that were touched.
inline void CopyPage(char* to, const char* subtree, uint32_t page, const PageSet::Pages& touched) {
  if (touched.test(page)) {
    std::memcpy(to, subtree + page * kPageBytes, kPageBytes);
  } else {
    std::memset(to, 0, kPageBytes);
  }
}

}  // namespace morsel::pmem::image
