// What a test stores in a block: bytes that say whose they are.
#pragma once

#include <cstdint>
#include <string>

namespace morsel::crash {

/// An object as a model knows it. Its bytes follow from it: first these members, as many as its
/// size has room for, then a pattern that depends on the place.
struct Object {
  uint64_t serial = 0;  ///< 0: there is none. Never given twice by one owner.
  uint64_t owner = 0;
  uint64_t size_bytes = 0;
  uint64_t seed = 0;

  explicit operator bool() const { return serial != 0; }
  friend bool operator==(const Object&, const Object&) = default;
};

/// e.g. "object 17 of partition 2 (640 bytes)", "no object".
std::string Describe(const Object& object);

/// Writes all size_bytes.
void WriteObject(void* at, const Object& object);

/// Compares all size_bytes. Empty, or what differs where first.
std::string Difference(const void* at, const Object& object);
/// Likewise its first bytes.
std::string PrefixDifference(const void* at, const Object& object, uint64_t bytes);

}  // namespace morsel::crash
