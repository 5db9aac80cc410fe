// What a fuzzer does with a file that may be an image: everything that the library would.
#pragma once

#include <cstdint>
#include <string>

namespace morsel::pmem::image {

/// The first byte says whether the sums are made right first, so that what lies behind them is
/// reached; the others are the file. Ends the process where the library contradicts itself; what it
/// must not do besides, a sanitizer sees.
void TryImage(const std::string& input);

/// Makes the sums of all that the superblocks lead to right, leaves' too, where that is little.
void SealImage(std::string& bytes);

}  // namespace morsel::pmem::image
