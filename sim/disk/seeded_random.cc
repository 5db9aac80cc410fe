#include "sim/disk/seeded_random.h"

#include <sys/random.h>

#include <cstring>
#include <random>

namespace morsel::sim {
namespace {

std::mt19937_64& Generator() {
  static std::mt19937_64 generator(1);
  return generator;
}

}  // namespace

void SeedRandomBytes(uint64_t seed) { Generator().seed(seed); }

}  // namespace morsel::sim

// In place of the C library's.
extern "C" ssize_t getrandom(void* bytes, size_t size_bytes, unsigned) {
  auto* to = static_cast<unsigned char*>(bytes);
  for (size_t i = 0; i < size_bytes; ++i) {
    to[i] = static_cast<unsigned char>(morsel::sim::Generator()());
  }
  return static_cast<ssize_t>(size_bytes);
}
