// For tests: the seeds of all that is random in them.
#pragma once

#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace morsel {

/// Returns the seed: MORSEL_SEED if that is set, else `otherwise`. Prints it, unless it is the one
/// that was printed last.
/// Threads  any.
inline uint64_t TestSeed(uint64_t otherwise) {
  static std::atomic<uint64_t> printed = ~uint64_t{0};
  const char* const given = std::getenv("MORSEL_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
  if (printed.exchange(seed) != seed) std::printf("MORSEL_SEED=%" PRIu64 "\n", seed);
  return seed;
}

/// The same, with a new seed if MORSEL_SEED is not set.
inline uint64_t FreshSeed() { return TestSeed(std::random_device()()); }

}  // namespace morsel
