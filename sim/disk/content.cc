#include "sim/disk/content.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "base/checksum.h"

namespace morsel::sim {
namespace {

const Content::Page kZeros;

uint64_t HashOfZeros() {
  static const uint64_t hash = Checksum64(kZeros.bytes.data(), Content::kPageBytes);
  return hash;
}

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
    const Page& is = PageOrZeros(offset / kPageBytes);
    if (std::memcmp(is.bytes.data() + at, bytes, part) != 0) return false;
    offset += part;
    bytes += part;
    size_bytes -= part;
  }
  return true;
}

const Content::Page& Content::PageOrZeros(uint64_t index) const {
  const Page* const own = page(index);
  return own == nullptr ? kZeros : *own;
}

uint64_t Content::PageHash(uint64_t index) const {
  if (page(index) == nullptr) return HashOfZeros();
  Page& own = *pages_[index];
  if (!own.hash) own.hash = Checksum64(own.bytes.data(), kPageBytes);
  return *own.hash;
}

uint64_t Content::Hash() const {
  std::vector<uint64_t> words = {size_bytes_};
  for (uint64_t i = 0; i < pages_.size(); ++i) {
    const uint64_t hash = PageHash(i);
    if (hash == HashOfZeros()) continue;
    words.push_back(i);
    words.push_back(hash);
  }
  return Checksum64(words.data(), words.size() * sizeof(uint64_t));
}

}  // namespace morsel::sim
