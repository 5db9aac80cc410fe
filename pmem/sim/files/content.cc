#include "pmem/sim/files/content.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "base/checksum.h"

namespace morsel::sim {
namespace {

const Content::Page kZeros;

}  // namespace

Content::Page& Content::Own(uint64_t index) {
  std::shared_ptr<Page>& page = pages_[index];
  if (page == nullptr) {
    page = std::make_shared<Page>();
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  page->hash.reset();
  return *page;
}

void Content::Resize(uint64_t size_bytes) {
  if (size_bytes < size_bytes_ && size_bytes % kPageBytes != 0) {
    const uint64_t last = size_bytes / kPageBytes;
    if (page(last) != nullptr) {
      const uint64_t kept = size_bytes % kPageBytes;
      std::memset(Own(last).bytes.data() + kept, 0, kPageBytes - kept);
    }
  }
  size_bytes_ = size_bytes;
  pages_.resize(DivideUp(size_bytes, kPageBytes));
}

void Content::Write(uint64_t offset, const char* bytes, uint64_t size_bytes) {
  if (offset + size_bytes > size_bytes_) Resize(offset + size_bytes);
  while (size_bytes > 0) {
    const uint64_t at = offset % kPageBytes;
    const uint64_t part = std::min(size_bytes, kPageBytes - at);
    if (!Equals(offset, bytes, part)) {
      std::memcpy(Own(offset / kPageBytes).bytes.data() + at, bytes, part);
    }
    offset += part;
    bytes += part;
    size_bytes -= part;
  }
}

bool Content::Equals(uint64_t offset, const char* bytes, uint64_t size_bytes) const {
  while (size_bytes > 0) {
    const uint64_t at = offset % kPageBytes;
    const uint64_t part = std::min(size_bytes, kPageBytes - at);
    const Page* const own = page(offset / kPageBytes);
    const Page& is = own == nullptr ? kZeros : *own;
    if (std::memcmp(is.bytes.data() + at, bytes, part) != 0) return false;
    offset += part;
    bytes += part;
    size_bytes -= part;
  }
  return true;
}

uint64_t Content::Hash() const {
  std::vector<uint64_t> words = {size_bytes_};
  for (uint64_t i = 0; i < pages_.size(); ++i) {
    if (pages_[i] == nullptr) continue;
    Page& page = *pages_[i];
    if (!page.hash) page.hash = Checksum64(page.bytes.data(), kPageBytes);
    if (page.bytes == kZeros.bytes) continue;  // as if there were none
    words.push_back(i);
    words.push_back(*page.hash);
  }
  return Checksum64(words.data(), words.size() * sizeof(uint64_t));
}

}  // namespace morsel::sim
