// For tests: the seeds of their random numbers.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace morsel {

/// Returns and prints the seed: MORSEL_TEST_SEED if that is set, else `otherwise`.
inline uint64_t TestSeed(uint64_t otherwise) {
  const char* const given = std::getenv("MORSEL_TEST_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
  std::printf("MORSEL_TEST_SEED=%" PRIu64 "\n", seed);
  return seed;
}

/// Returns and prints a new seed, or MORSEL_TEST_SEED if that is set.
inline uint64_t FreshSeed() { return TestSeed(std::random_device()()); }

}  // namespace morsel
