// Invariants: what must hold in a release build too.
#pragma once

namespace morsel {

/// Writes one sentence to standard error and ends the process.
[[noreturn, gnu::format(printf, 1, 2), gnu::cold]] void Die(const char* format, ...);

}  // namespace morsel

/// Ends the process before anything else is published, if `condition` is false.
/// For what the library itself guarantees: bytes from a medium are validated, not checked.
#define MORSEL_CHECK(condition)                                                       \
  (__builtin_expect(!(condition), 0)                                                  \
       ? ::morsel::Die("%s:%d: invariant broken: %s", __FILE__, __LINE__, #condition) \
       : void())
