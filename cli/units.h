// Sizes and permission bits as people write and read them.
#pragma once

#include <cstdint>
#include <string>

namespace morsel::cli {

/// Parses a size such as "4096", "4M", "2GiB" or "1.5G". Units are powers of 1024; case does not
/// matter.
/// Throws  std::invalid_argument; the message quotes `text`.
uint64_t ParseSize(const std::string& text);

/// Parses permission bits in octal, e.g. "0640".
/// Throws  std::invalid_argument; the message quotes `text`.
uint32_t ParseMode(const std::string& text);

/// Parses an address in hexadecimal, e.g. "0x100100000000", which is not 0.
/// Throws  std::invalid_argument; the message quotes `text`.
uint64_t ParseAddress(const std::string& text);

/// The size in the largest unit that fits, rounded to at most one decimal: "640 B", "2 MiB",
/// "1.5 GiB". It is what the library's messages say of sizes.
std::string FormatSize(uint64_t bytes);

/// FormatSize() and, for 1 KiB or more, the number of bytes: "1.5 GiB (1610612737 bytes)".
std::string FormatSizeFully(uint64_t bytes);

/// Returns permission bits as ls(1) writes them, e.g. "rw-r-----".
std::string FormatMode(uint32_t mode);

/// Returns an address in hexadecimal, e.g. "0x100100000000".
std::string FormatAddress(uint64_t address);

}  // namespace morsel::cli
