// Tells valgrind and AddressSanitizer of blocks, so that they treat ours like malloc's.
// Where neither listens, these functions do nothing.
//
// AddressSanitizer is reached through symbols that exist if the program was built with
// it, even if this library was not.
#pragma once

#include <cstdint>

namespace morsel::alloc {

/// Whether the program runs in valgrind or was built with AddressSanitizer.
bool MarksAreSeen();

/// A block was allocated. The program may write its first size_bytes, and read what it has written.
/// It may not touch the rest, up to usable_bytes.
void MarkGiven(char* block, uint64_t size_bytes, uint64_t usable_bytes);

/// A block was freed: none of it may be touched. `given`: MarkGiven() was called for it.
void MarkFreed(char* block, uint64_t usable_bytes, bool given);

/// Undoes MarkGiven(): the block may be read and written, and is none for these tools.
void MarkForgotten(char* block, uint64_t usable_bytes);

/// These bytes may be read, with the values that they have, and written.
void MarkOpen(const char* begin, uint64_t size_bytes);
/// These bytes may not be touched.
void MarkClosed(const char* begin, uint64_t size_bytes);

/// While it lives, valgrind reports no errors of this thread.
class ReportsAreOff {
 public:
  ReportsAreOff();
  ~ReportsAreOff();
  ReportsAreOff(const ReportsAreOff&) = delete;
  ReportsAreOff& operator=(const ReportsAreOff&) = delete;
};

}  // namespace morsel::alloc
