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

uint64_t BytesOfWord(const Object& object, uint64_t index) {
  return std::min(kWordBytes, object.size_bytes - index * kWordBytes);
}

}  // namespace

std::string Describe(const Object& object) {
  if (!object) return "no object";
  return "object " + std::to_string(object.serial) + " of shelf " + std::to_string(object.owner) +
         " (" + std::to_string(object.size_bytes) + " bytes)";
}

void WriteObject(void* at, const Object& object) {
  char* const bytes = static_cast<char*>(at);
  for (uint64_t i = 0; i * kWordBytes < object.size_bytes; ++i) {
    const uint64_t word = WordOf(object, i);
    std::memcpy(bytes + i * kWordBytes, &word, BytesOfWord(object, i));
  }
}

std::string Difference(const void* at, const Object& object) {
  const char* const bytes = static_cast<const char*>(at);
  for (uint64_t i = 0; i * kWordBytes < object.size_bytes; ++i) {
    const uint64_t due = WordOf(object, i);
    if (std::memcmp(bytes + i * kWordBytes, &due, BytesOfWord(object, i)) == 0) continue;
    uint64_t found = 0;
    std::memcpy(&found, bytes + i * kWordBytes, BytesOfWord(object, i));
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
