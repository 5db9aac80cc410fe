#include "base/size_words.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdio>

namespace morsel {
namespace {

constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

}  // namespace

std::string FormatSize(uint64_t bytes) {
  unsigned power = 0;
  long double value = bytes;
  // What would be rounded to 1024 of a unit is 1 of the next.
  while (power + 1 < kUnits.size() && value >= (power == 0 ? 1024 : 1023.95L)) {
    value /= 1024;
    ++power;
  }
  char text[48];
  const long double tenths = std::round(value * 10);
  std::snprintf(text, sizeof text, std::fmod(tenths, 10) == 0 ? "%.0Lf %s" : "%.1Lf %s",
                tenths / 10, kUnits[power]);
  return text;
}

std::string FormatSizeFully(uint64_t bytes) {
  return FormatSize(bytes) + (bytes < 1024 ? "" : " (" + std::to_string(bytes) + " bytes)");
}

std::string FormatSizeExactly(uint64_t bytes) {
  const int zero_bits = bytes == 0 ? 64 : std::countr_zero(bytes);
  const int unit_bits = bytes == 0 ? 0 : (std::bit_width(bytes) - 1) / 10 * 10;
  return zero_bits >= unit_bits ? FormatSize(bytes) : FormatSizeFully(bytes);
}

}  // namespace morsel
