#include "alloc/heap/guard/still_pages.h"

#include "base/check.h"
#include "base/checksum.h"
#include "base/units.h"

namespace morsel::alloc {

StillPages::StillPages(const char* memory, uint64_t size_bytes) : memory_(memory) {
  if (memory == nullptr) return;
  sums_.reserve(size_bytes / kPageBytes);
  for (uint64_t at = 0; at < size_bytes; at += kPageBytes) {
    sums_.push_back(Checksum64(memory + at, kPageBytes));
  }
}

void StillPages::Check(const std::string& subject) const {
  for (uint64_t i = 0; i < sums_.size(); ++i) {
    const char* const page = memory_ + i * kPageBytes;
    if (Checksum64(page, kPageBytes) == sums_[i]) continue;
    Die("checkpoint of %s: the program stored into the page at %p meanwhile, so that what was "
        "written may be half of a change; no thread may store into a morsel during its checkpoint",
        subject.c_str(), static_cast<const void*>(page));
  }
}

}  // namespace morsel::alloc
