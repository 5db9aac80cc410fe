#include "morsel/pool/pool.h"

#include <climits>

#include "base/bits.h"
#include "base/error.h"
#include "base/units.h"

namespace morsel {

static_assert(kProcessPageBytes == kPageBytes);

bool IsPossibleName(const std::string& name) {
  return !name.empty() && name.size() <= NAME_MAX && name != "." && name != ".." &&
         name.find('/') == std::string::npos;
}

uint64_t RangeBytes(uint64_t capacity_bytes) {
  return AlignUp(capacity_bytes + kProcessPageBytes, kSubtreeBytes);
}

Result<std::unique_ptr<Backing>> impl::Pool::OpenIntact(const std::string& name,
                                                        const image::Damaged&,
                                                        const image::Progress&) {
  return Fail(Code::kUnsupported,
              "morsel '%s' of pool '%s' is a fine one, whose memory lies in place and not in an "
              "image: open it without MORSEL_SALVAGE, or write what its medium serves as an image "
              "(morselctl export --salvage)",
              name.c_str(), path_.c_str());
}

}  // namespace morsel
