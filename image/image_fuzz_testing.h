// What the fuzzer does with a file that may be an image: everything that the library would do.
#pragma once

#include <cstdint>
#include <string>

namespace morsel::image {

/// Opens, verifies, loads, salvages and writes the image that `input` has behind its first byte. If
/// that byte is odd, all sums are made right first, so that the code behind them is reached. Ends
/// the process if the library contradicts itself. A sanitizer sees what else it must not do.
void TryImage(const std::string& input);

/// Makes right the sums of all that the superblocks lead to, but of a few leaves only.
void SealImage(std::string& bytes);

/// Returns the input whose image these bytes are: `first`, and each block that is not zeros behind
/// its number, of 8 bytes. Inputs are short so, as an image's superblocks lie apart.
std::string InputOf(const std::string& image, char first);

/// Returns the image of an input.
std::string ImageIn(const std::string& input);

}  // namespace morsel::image
