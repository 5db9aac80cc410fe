// Checks of invariants. They run in release builds, too.
#pragma once

namespace morsel {

/// Writes one message to standard error, cut off where it is too long, and aborts the process.
[[noreturn, gnu::format(printf, 1, 2), gnu::cold]] void Die(const char* format, ...);

}  // namespace morsel

/// Aborts the process if `condition` is false, so that nothing more is published.
/// It is for what the library itself guarantees. Bytes from a medium are validated instead: they
/// may be wrong without a fault of the library.
#define MORSEL_CHECK(condition)                                                       \
  (__builtin_expect(!(condition), 0)                                                  \
       ? ::morsel::Die("%s:%d: invariant broken: %s", __FILE__, __LINE__, #condition) \
       : void())
