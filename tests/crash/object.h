// What a test stores in a block: bytes that identify their owner.
#pragma once

#include <cstdint>
#include <string>

namespace morsel::crash {

/// An object as a log knows it. Its bytes follow from these members: first the members themselves,
/// as many as fit, then a pattern that depends on the position.
struct Object {
  uint64_t serial = 0;  ///< 0: no object. One owner never uses a serial twice.
  uint64_t owner = 0;
  uint64_t size_bytes = 0;
  uint64_t seed = 0;

  explicit operator bool() const { return serial != 0; }
  friend bool operator==(const Object&, const Object&) = default;
};

/// Returns text like "object 17 of partition 2 (640 bytes)" or "no object".
std::string Describe(const Object& object);

/// Writes all size_bytes bytes of the object.
void WriteObject(void* at, const Object& object);

/// Compares all size_bytes bytes. Returns empty, or describes the first difference.
std::string Difference(const void* at, const Object& object);
/// The same, for the first `bytes` bytes of the object.
std::string PrefixDifference(const void* at, const Object& object, uint64_t bytes);

}  // namespace morsel::crash
