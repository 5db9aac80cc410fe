// The mutation check's hook in the two seams (base/hook/seam_hook.h). It lets the check ask of each
// flush, fence, publish and sync whether a test fails without it.
#pragma once

#include "tests/mutation/seam/mutation_calls.h"
#include "tests/mutation/seam/mutation_medium.h"

#define MORSEL_MUTABLE(call) return ::morsel::pmem::mutation::call
#define MORSEL_MUTABLE_CALLS(calls) ::morsel::pmem::mutation::Above(calls)
