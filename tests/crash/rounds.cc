#include "tests/crash/rounds.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace morsel::crash {

uint64_t Seed() {
  const char* const given = std::getenv("MORSEL_SEED");
  std::random_device device;
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 0) : uint64_t{device()} << 32 | device();
  std::fprintf(stderr, "MORSEL_SEED=%" PRIu64 "\n", seed);
  return seed;
}

uint64_t Rounds(uint64_t rounds) {
#if defined(__SANITIZE_THREAD__)
  return (rounds + 9) / 10;
#elif defined(__SANITIZE_ADDRESS__)
  return (rounds + 4) / 5;
#else
  return rounds;
#endif
}

}  // namespace morsel::crash
