// A file that is the simulated medium: whatever of it the code under test maps is
// another view of the recorder's span.
#pragma once

#include <cstdint>
#include <string>

#include "pmem/sim/crash_model.h"

namespace morsel::sim {

/// Ownership  unmapped with the object, which ends the watch.
class WatchedFile {
 public:
  /// Maps the file, as it is, for the recorder. Ends the process where that fails: it is the test's
  /// own. One at a time.
  explicit WatchedFile(const std::string& path);
  ~WatchedFile();
  WatchedFile(const WatchedFile&) = delete;
  WatchedFile& operator=(const WatchedFile&) = delete;

  Span span() const { return span_; }

  /// [address, address + size_bytes) is a mapping of the file behind `descriptor`, from `offset`
  /// on. Nothing, if that is another file.
  static void Mapped(int descriptor, const void* address, uint64_t size_bytes, uint64_t offset);

 private:
  Span span_;
};

/// While it lives, ids are the same in every run.
class SameIds {
 public:
  SameIds();
  ~SameIds();
};

}  // namespace morsel::sim
