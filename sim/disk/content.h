// What a file holds, in pages that copies of it share: a crash leaves many images
// that differ in a few sectors only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/units.h"

namespace morsel::sim {

/// Threads  one at a time for all that share pages.
class Content {
 public:
  static constexpr uint64_t kPageBytes = 16 * kKiB;
  struct Page {
    std::array<char, kPageBytes> bytes{};
    std::optional<uint64_t> hash;
  };

  uint64_t size_bytes() const { return size_bytes_; }
  /// What is cut off is gone; what is added is zero.
  void Resize(uint64_t size_bytes);

  /// The file ends behind what is written, or later.
  void Write(uint64_t offset, const char* bytes, uint64_t size_bytes);

  /// Whether [offset, offset + size_bytes) is that; what lies behind the end is zero.
  bool Equals(uint64_t offset, const char* bytes, uint64_t size_bytes) const;

  uint64_t pages() const { return pages_.size(); }
  /// nullptr: zeros. What is behind the end is zero too.
  const Page* page(uint64_t index) const {
    return index < pages_.size() ? pages_[index].get() : nullptr;
  }
  /// The page, or one of zeros.
  const Page& PageOrZeros(uint64_t index) const;
  /// The same for a page of zeros and for none.
  uint64_t PageHash(uint64_t index) const;
  uint64_t Hash() const;

 private:
  Page& Own(uint64_t index);

  uint64_t size_bytes_ = 0;
  std::vector<std::shared_ptr<Page>> pages_;
};

}  // namespace morsel::sim
