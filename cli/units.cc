#include "cli/units.h"

#include <cctype>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string_view>

namespace morsel::cli {
namespace {

// A text of the user's in a message, which has to stay readable.
std::string Quoted(const std::string& text) {
  constexpr size_t kBytesMax = 40;
  return text.size() <= kBytesMax ? "'" + text + "'"
                                  : "'" + text.substr(0, kBytesMax) + "...' (" +
                                        std::to_string(text.size()) + " characters)";
}

[[noreturn]] void NoSize(const std::string& text, const char* why) {
  throw std::invalid_argument(Quoted(text) + " is no size: " + why +
                              "; write e.g. 4096, 4M, 1.5G or 2GiB");
}

// Returns the power of 1024 that the letters after a number stand for.
unsigned PowerOf(const std::string& text, std::string_view suffix) {
  if (suffix.empty()) return 0;
  std::string lower;
  for (const char c : suffix)
    lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower == "b") return 0;
  constexpr std::string_view kLetters = "kmgtpe";
  const size_t at = kLetters.find(lower[0]);
  if (at == std::string_view::npos) NoSize(text, "it does not end in a unit");
  if (lower.size() == 2 && lower[1] == 'b') {
    NoSize(text, "that could be powers of 1000 or of 1024, and means neither here");
  }
  if (lower.size() != 1 && lower.substr(1) != "ib") NoSize(text, "it does not end in a unit");
  return static_cast<unsigned>(at) + 1;
}

constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

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

uint64_t ParseSize(const std::string& text) {
  const size_t number_end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string number = text.substr(0, number_end);
  const size_t dot = number.find('.');
  if (number.empty() || dot == 0 || dot + 1 == number.size() || dot != number.rfind('.')) {
    NoSize(text, "it does not begin with a number");
  }
  const unsigned power = PowerOf(text, std::string_view(text).substr(number_end));
  if (dot != std::string::npos && power == 0) NoSize(text, "there are no parts of a byte");
  // A long double has 64 bits of mantissa, so that no size of whole bytes loses a digit. A number
  // that is larger than all is infinite.
  const long double bytes =
      std::ldexp(std::strtold(number.c_str(), nullptr), static_cast<int>(10 * power));
  if (bytes > static_cast<long double>(std::numeric_limits<int64_t>::max())) {
    NoSize(text, "that is 8 EiB or more");
  }
  return static_cast<uint64_t>(std::ceil(bytes));
}

uint32_t ParseMode(const std::string& text) {
  const bool octal =
      !text.empty() && text.size() <= 5 && text.find_first_not_of("01234567") == std::string::npos;
  const unsigned long mode = octal ? std::stoul(text, nullptr, 8) : 0;
  if (!octal || mode == 0 || mode > 0777) {
    throw std::invalid_argument(
        Quoted(text) + " is no mode: write permission bits in octal, 1 to 0777, e.g. 0640");
  }
  return static_cast<uint32_t>(mode);
}

uint64_t ParseAddress(const std::string& text) {
  const bool has_prefix = text.starts_with("0x") || text.starts_with("0X");
  const std::string digits = has_prefix ? text.substr(2) : "";
  const bool is_number = !digits.empty() && digits.size() <= 16 &&
                         digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  const uint64_t address = is_number ? std::stoull(digits, nullptr, 16) : 0;
  if (address != 0) return address;
  throw std::invalid_argument(Quoted(text) +
                              " is no address: write it in hexadecimal, e.g. 0x200000000000");
}

std::string FormatSize(uint64_t bytes) {
  unsigned power = 0;
  while (IsOneOfTheNext(bytes, power)) ++power;
  const uint64_t tenths = TenthsOf(bytes, power);
  std::string text = std::to_string(tenths / 10);
  if (tenths % 10 != 0) text += "." + std::to_string(tenths % 10);
  return text + " " + kUnits[power];
}

std::string FormatSizeFully(uint64_t bytes) {
  return FormatSize(bytes) + (bytes < 1024 ? "" : " (" + std::to_string(bytes) + " bytes)");
}

std::string FormatMode(uint32_t mode) {
  std::string text = "rwxrwxrwx";
  for (unsigned bit = 0; bit < 9; ++bit) {
    if ((mode & (0400u >> bit)) == 0) text[bit] = '-';
  }
  return text;
}

std::string FormatAddress(uint64_t address) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%" PRIx64, address);
  return text;
}

}  // namespace morsel::cli
