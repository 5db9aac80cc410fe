#include "sim/disk/file_target.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "base/checksum.h"
#include "base/error.h"
#include "base/units.h"

namespace morsel::sim {

std::string Judge(const FileWorld& world, Status status, const char* tried) {
  // What failing calls may lead to; damage they may not. BUSY: one was interrupted.
  const Code code = status.code();
  const bool is_trouble = code == Code::kIo || code == Code::kNoSpace ||
                          code == Code::kPermission || code == Code::kBusy;
  if (status.ok() || (world.may_fail() && is_trouble)) return {};
  return std::string(tried) + " failed, " + CodeName(code) + ": " + LastError();
}

std::string StateOf(const char* memory, uint64_t size_bytes) {
  // Most of it is zero, and that is seen sooner than hashed.
  static constexpr char kZeros[kPageBytes] = {};
  std::string words;
  for (uint64_t at = 0; at < size_bytes; at += kPageBytes) {
    if (std::memcmp(memory + at, kZeros, kPageBytes) == 0) continue;
    const Sum128 page = Checksum128(memory + at, kPageBytes);
    for (const uint64_t word : {at, page.low, page.high}) words += std::to_string(word) + " ";
  }
  const Sum128 sum = Checksum128(words.data(), words.size());
  char text[64];
  std::snprintf(text, sizeof text, "%" PRIu64 " MiB %016" PRIx64 "%016" PRIx64, size_bytes / kMiB,
                sum.high, sum.low);
  return text;
}

}  // namespace morsel::sim
