#include "base/size_words.h"

#include <array>
#include <bit>

namespace morsel {
namespace {

constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

// The size in tenths of the unit 1024^power, rounded. It is less than 1024 of them, so that nothing
// overflows.
uint64_t TenthsOf(uint64_t bytes, unsigned power) {
  const uint64_t unit = uint64_t{1} << 10 * power;
  const uint64_t rest = bytes % unit;
  return bytes / unit * 10 + (rest * 10 + unit / 2) / unit;
}

// A size that rounds to 1024 of one unit is written as 1 of the next.
bool IsOneOfTheNext(uint64_t bytes, unsigned power) {
  const uint64_t units = bytes >> 10 * power;
  return units >= 1024 || (units == 1023 && TenthsOf(bytes, power) >= 10240);
}

}  // namespace

std::string FormatSize(uint64_t bytes) {
  unsigned power = 0;
  while (IsOneOfTheNext(bytes, power)) ++power;
  const uint64_t tenths = TenthsOf(bytes, power);
  std::string text = std::to_string(tenths / 10);
  if (tenths % 10 != 0) text += "." + std::to_string(tenths % 10);
  return text + " " + kUnits[power];
}

std::string FormatSizeExactly(uint64_t bytes) {
  const int zero_bits = bytes == 0 ? 64 : std::countr_zero(bytes);
  const int unit_bits = bytes == 0 ? 0 : (std::bit_width(bytes) - 1) / 10 * 10;
  if (zero_bits >= unit_bits) return FormatSize(bytes);
  return FormatSize(bytes) + " (" + std::to_string(bytes) + " bytes)";
}

}  // namespace morsel
