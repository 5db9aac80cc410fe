// A file that is the simulated medium, as a whole or in parts. What the code under test maps of
// these parts is another view of the recorder's spans.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/model/crash_model.h"

namespace morsel::sim {

/// A part of a file, in whole pages.
struct FilePart {
  uint64_t offset;
  uint64_t size_bytes;
};

/// Ownership  the destructor unmaps the file and ends the watch.
class WatchedFile {
 public:
  /// Maps the parts of the file, as they are, for the recorder. `parts` ascend; none means the
  /// whole file. What is stored elsewhere is in no image and stays. Ends the process where mapping
  /// fails, since the file is the test's own. There is at most one object at a time.
  explicit WatchedFile(const std::string& path, std::vector<FilePart> parts = {});
  ~WatchedFile();
  WatchedFile(const WatchedFile&) = delete;
  WatchedFile& operator=(const WatchedFile&) = delete;

  const std::vector<Span>& spans() const { return spans_; }

  /// Calls `visit(span)` for each watched part of [offset, offset + size_bytes) of the file.
  template <class Visit>
  void ForEachSpan(uint64_t offset, uint64_t size_bytes, Visit visit) const {
    for (size_t i = 0; i < parts_.size(); ++i) {
      const uint64_t begin = std::max(offset, parts_[i].offset);
      const uint64_t end = std::min(offset + size_bytes, parts_[i].offset + parts_[i].size_bytes);
      if (begin < end) visit(Span{spans_[i].begin + (begin - parts_[i].offset), end - begin});
    }
  }

  /// Notes that [address, address + size_bytes) maps the file behind `descriptor` from `offset` on.
  /// Does nothing if that is another file.
  static void Mapped(int descriptor, const void* address, uint64_t size_bytes, uint64_t offset);

 private:
  std::vector<FilePart> parts_;
  std::vector<Span> spans_;
};

/// While the object exists, ids follow from the seed.
class SameIds {
 public:
  explicit SameIds(uint64_t seed = 1);
  ~SameIds();
};

}  // namespace morsel::sim
