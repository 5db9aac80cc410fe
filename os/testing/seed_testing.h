// For tests: where their randomness comes from.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace morsel {

/// MORSEL_TEST_SEED, or `otherwise`; printed.
inline uint64_t TestSeed(uint64_t otherwise) {
  const char* const given = std::getenv("MORSEL_TEST_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
  std::printf("MORSEL_TEST_SEED=%" PRIu64 "\n", seed);
  return seed;
}

/// One that nobody has tried yet; printed.
inline uint64_t FreshSeed() { return TestSeed(std::random_device()()); }

}  // namespace morsel
