// Where a build for tests stands between the library and its media. The functions of the two seams,
// persist.h and file.h, go through these macros; in any other build they are gone with the
// preprocessor.
#pragma once

#ifdef MORSEL_SEAM_HOOK
// A header that defines them: tests/mutation names its own.
#include MORSEL_SEAM_HOOK
#else
/// In a function of the seam for stores: `call`, of the hook, is made in its place.
#define MORSEL_MUTABLE(call)
/// System calls, with the hook before them.
#define MORSEL_MUTABLE_CALLS(calls) calls
#endif
