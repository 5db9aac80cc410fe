#include "tests/crash/rounds.h"

namespace morsel::crash {

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
