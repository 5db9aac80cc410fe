// The content of a file, in pages that copies share. Copies are cheap, because a crash leaves many
// images that differ in a few sectors only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/units.h"

namespace morsel::sim {

/// Threads  one at a time, for all objects that share pages.
class Content {
 public:
  static constexpr uint64_t kPageBytes = 16 * kKiB;
  struct Page {
    std::array<char, kPageBytes> bytes{};
    std::optional<uint64_t> hash;
  };

  uint64_t size_bytes() const { return size_bytes_; }
  /// Discards what is cut off, and adds zeros.
  void Resize(uint64_t size_bytes);

  /// Writes the bytes. The file grows if they reach beyond its end.
  void Write(uint64_t offset, const char* bytes, uint64_t size_bytes);

  /// Whether [offset, offset + size_bytes) holds these bytes. Zeros lie beyond the end.
  bool Equals(uint64_t offset, const char* bytes, uint64_t size_bytes) const;

  uint64_t pages() const { return pages_.size(); }
  /// The page; nullptr if it is all zeros, as pages beyond the end are.
  const Page* page(uint64_t index) const {
    return index < pages_.size() ? pages_[index].get() : nullptr;
  }
  /// The page, or a page of zeros.
  const Page& PageOrZeros(uint64_t index) const;
  /// The hash of a page. It is the same for a page of zeros and for a missing one.
  uint64_t PageHash(uint64_t index) const;
  uint64_t Hash() const;

 private:
  Page& Own(uint64_t index);

  uint64_t size_bytes_ = 0;
  std::vector<std::shared_ptr<Page>> pages_;
};

}  // namespace morsel::sim
