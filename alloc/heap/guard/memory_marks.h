// What valgrind and AddressSanitizer are told of blocks, so that they see ours as
// they see malloc's. Where neither listens, nothing is done.
//
// AddressSanitizer is asked by symbols that are there if the program was built with
// it, whether or not the library was.
#pragma once

#include <cstdint>

namespace morsel::alloc {

/// Whether the program runs in valgrind or was built with AddressSanitizer.
bool MarksAreSeen();

/// `block` was allocated: its first size_bytes may be written, and then read; what follows up to
/// usable_bytes may not be touched.
void MarkGiven(char* block, uint64_t size_bytes, uint64_t usable_bytes);

/// Nothing of the block may be touched. `given`: MarkGiven() was told of it.
void MarkFreed(char* block, uint64_t usable_bytes, bool given);

/// No longer one that MarkGiven() was told of.
void MarkForgotten(char* block, uint64_t usable_bytes);

/// All that, as it is, may be read and written; or nothing of it touched.
void MarkOpen(const char* begin, uint64_t size_bytes);
void MarkClosed(const char* begin, uint64_t size_bytes);

/// While it lives, valgrind reports nothing of this thread.
class ReportsAreOff {
 public:
  ReportsAreOff();
  ~ReportsAreOff();
  ReportsAreOff(const ReportsAreOff&) = delete;
  ReportsAreOff& operator=(const ReportsAreOff&) = delete;
};

}  // namespace morsel::alloc
