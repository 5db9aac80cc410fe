// The words of a morsel that moves: which of them are addresses in it, and what they become.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "alloc/heap/heap.h"
#include "base/result.h"
#include "morsel/rebase/move.h"
#include "morsel/roots/root_type.h"

namespace morsel {

/// Where the pointers are in an object of one type, as the program says.
struct PointersOfType {
  RootType type{};
  std::vector<uint64_t> offsets;  ///< multiples of 8
};

/// Something that may be wrong after the move: a word that looks like an address and was left as it
/// is, a root, or the morsel as a whole.
struct Doubt {
  uint64_t block = 0;  ///< its address before the move; 0: `message` is about a root, or about all
  uint64_t block_bytes = 0;
  uint64_t offset = 0;
  uint64_t target = 0;  ///< the word before the move
  std::string message{};
};

struct MovedCounts {
  uint64_t blocks = 0;    ///< that were looked at
  uint64_t words = 0;     ///< that have been changed
  uint64_t exact = 0;     ///< of these, by what the program says of their type
  uint64_t doubtful = 0;  ///< doubts that were reported
};

/// Changes each word of a live block that is an address in a live block of the morsel, or of what
/// the library keeps there: other words are numbers, text, or left over. Where a root leads to an
/// object of a type of `pointers`, exactly the words there that it names; elsewhere, all aligned
/// words whose value says so. The roots are changed by what is known of them.
/// heap    as OpenCopy() returns it. Its trie of roots need not be one afterwards.
/// Errors  kCorrupt; kNoMemory.
/// Cost    reads all live blocks.
Result<MovedCounts> MoveWords(alloc::Heap& heap, const Move& move,
                              const std::vector<PointersOfType>& pointers,
                              const std::function<void(const Doubt& doubt)>& report);

/// What the address of a block is a multiple of: a power of two of at most kGiantBytes, which is as
/// much as anybody can ask for.
uint64_t AlignmentOf(uint64_t address);

/// Returns the largest alignment of a live block of the heap, which OpenCopy() has returned and
/// which is that of a morsel at `base`; at least kSubtreeBytes, which blocks keep in each move.
/// Cost  goes through all live blocks.
uint64_t LargestAlignment(alloc::Heap& heap, uint64_t base);

}  // namespace morsel
