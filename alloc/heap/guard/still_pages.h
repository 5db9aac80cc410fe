// Finds stores that a program makes while a checkpoint reads its morsel, if MORSEL_GUARD=1.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace morsel::alloc {

/// Remembers a sum of each page. It takes 8 bytes for each, and reads all twice.
class StillPages {
 public:
  /// nullptr: nothing is remembered.
  /// Units  size_bytes is a multiple of 4 KiB.
  StillPages(const char* memory, uint64_t size_bytes);

  /// Ends the process with a message if a page has other bytes now. It names `subject` and the
  /// page's address. A store of what was there before is not found.
  void Check(const std::string& subject) const;

 private:
  const char* memory_;
  std::vector<uint64_t> sums_;
};

}  // namespace morsel::alloc
