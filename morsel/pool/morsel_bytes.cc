#include "morsel/pool/morsel_bytes.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/units.h"
#include "image/image_copy.h"

namespace morsel {

Status BytesOfImage::Load(char* memory) { return image::LoadBesideWriter(*image_, memory); }

// Pages of zeroes are left out, so that the copy takes no memory for what the morsel never used.
Status BytesOfBacking::Load(char* memory) {
  const auto* const bytes = reinterpret_cast<const char*>(record().base);
  for (uint64_t at = 0; at < record().size_bytes; at += kPageBytes) {
    const char* const page = bytes + at;
    const bool is_zero = *page == 0 && std::memcmp(page, page + 1, kPageBytes - 1) == 0;
    if (!is_zero) std::memcpy(memory + at, page, kPageBytes);
  }
  return Code::kOk;
}

}  // namespace morsel
