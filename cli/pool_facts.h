// Facts about a pool itself, in the words of info.
#pragma once

#include <string>

#include "cli/printer.h"
#include "morsel/tools.h"

namespace morsel::cli {

inline bool IsCarved(const morsel_pool_info& info) { return (info.flags & MORSEL_CARVED) != 0; }
/// "carved" or "directory".
const char* KindName(const morsel_pool_info& info);

/// The granularity of a morsel in words, e.g. "cache line (64 bytes)".
std::string GranularityInWords(uint32_t granularity_bytes);
/// That of the pool's morsels, and whether it was forced.
std::string GranularityInWords(const morsel_pool_info& info);

/// Prints a note if the new pool at `path` loses data at power-off. Prints nothing if this process
/// may not read the pool.
void WarnOfPowerOff(const std::string& path, const Printer& printer);

}  // namespace morsel::cli
