#include "tests/crash/object.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace morsel::crash {
namespace {

constexpr uint64_t kWordBytes = sizeof(uint64_t);

uint64_t WordOf(const Object& object, uint64_t index) {
  switch (index) {
    case 0:
      return object.owner << 48 | object.serial;
    case 1:
      return object.size_bytes;
    case 2:
      return object.seed;
    default:
      return object.seed ^ (index * 0x9e3779b97f4a7c15);
  }
}

uint64_t BytesOfWord(uint64_t bytes, uint64_t index) {
  return std::min(kWordBytes, bytes - index * kWordBytes);
}

}  // namespace

std::string Describe(const Object& object) {
  if (!object) return "no object";
  return "object " + std::to_string(object.serial) + " of partition " +
         std::to_string(object.owner) + " (" + std::to_string(object.size_bytes) + " bytes)";
}

void WriteObject(void* at, const Object& object) {
  char* const bytes = static_cast<char*>(at);
  for (uint64_t i = 0; i * kWordBytes < object.size_bytes; ++i) {
    const uint64_t word = WordOf(object, i);
    std::memcpy(bytes + i * kWordBytes, &word, BytesOfWord(object.size_bytes, i));
  }
}

std::string Difference(const void* at, const Object& object) {
  return PrefixDifference(at, object, object.size_bytes);
}

std::string PrefixDifference(const void* at, const Object& object, uint64_t bytes) {
  const char* const begin = static_cast<const char*>(at);
  for (uint64_t i = 0; i * kWordBytes < bytes; ++i) {
    const uint64_t due = WordOf(object, i);
    if (std::memcmp(begin + i * kWordBytes, &due, BytesOfWord(bytes, i)) == 0) continue;
    uint64_t found = 0;
    std::memcpy(&found, begin + i * kWordBytes, BytesOfWord(bytes, i));
    char text[200];
    std::snprintf(text, sizeof text,
                  "%s at %p has 0x%016" PRIx64 " at offset %" PRIu64 " where 0x%016" PRIx64
                  " is due",
                  Describe(object).c_str(), at, found, i * kWordBytes, due);
    return text;
  }
  return {};
}

}  // namespace morsel::crash
