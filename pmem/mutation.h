// Where the mutation check (tests/mutation) takes hold of the two seams.
//
// That check builds everything with MORSEL_MUTATION, and asks of each flush, fence,
// publish and sync whether a test fails without it. In any other build the macros
// are gone with the preprocessor.
#pragma once

#ifdef MORSEL_MUTATION
#include "pmem/mutation_medium.h"
/// In a function of the seam: what it does is done by the switch, rightly or wrongly.
#define MORSEL_MUTABLE(call) return ::morsel::pmem::mutation::call
/// System calls with the switch before them.
#define MORSEL_MUTABLE_CALLS(calls) ::morsel::pmem::mutation::Above(calls)
#else
#define MORSEL_MUTABLE(call)
#define MORSEL_MUTABLE_CALLS(calls) calls
#endif
