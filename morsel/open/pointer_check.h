// Finds words in a morsel that lead where nothing will be in the next process, or nothing is now.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace morsel {

class OpenMorsel;

enum class PointsTo : uint32_t {  ///< as MORSEL_TO_*
  kProgram = 1,
  kMemory = 2,
  kMorsel = 3,
  kFreed = 4,
  kNowhere = 5,
};

/// A word of a live block that should not be there.
struct StrayPointer {
  PointsTo to = PointsTo::kMemory;
  bool is_doubtful = false;
  const char* block = nullptr;
  uint64_t block_bytes = 0;
  uint64_t offset = 0;   ///< of the word in the block
  uint64_t target = 0;   ///< the word
  std::string symbol{};  ///< readable; empty: none is known
  uint64_t from_symbol = 0;
  std::string place{};  ///< what the target lies in, e.g. a library's path
};

/// Looks at every aligned word of every live block. Integers that equal an address are found, too.
/// Threads  any. What the program stores meanwhile is seen or not.
/// Errors   kBusy (a fork); kCorrupt; kNoMemory; those of /proc/self/maps.
/// Cost     reads all live blocks, while other threads wait that call the library on the morsel.
///          Memory for each word that is found.
Result<std::vector<StrayPointer>> FindStrayPointers(OpenMorsel& morsel);

/// What is wrong, as a sentence.
std::string InWords(const StrayPointer& pointer);

/// Prints on standard error, before the checkpoint of a guarded morsel, the first few words that
/// are not doubtful, and how many there are. Does nothing if it is not guarded or is only read.
void PrintStrayPointers(OpenMorsel& morsel);

}  // namespace morsel
