// Sizes and permission bits as people write and read them.
#pragma once

#include <cstdint>
#include <string>

#include "base/size_words.h"

namespace morsel::cli {

/// "4096", "4M", "2GiB", "1.5G": powers of 1024, case does not matter.
/// Throws  std::invalid_argument, quoting `text`.
uint64_t ParseSize(const std::string& text);

/// Permission bits in octal, "0640".
/// Throws  std::invalid_argument, quoting `text`.
uint32_t ParseMode(const std::string& text);

/// As ls(1): "rw-r-----".
std::string FormatMode(uint32_t mode);

/// "0x100100000000".
std::string FormatAddress(uint64_t address);

}  // namespace morsel::cli
