// The hook of the mutation check, between the library and its media. The functions of both seams
// (pmem/persist/persist.h, os/file/file.h) contain these macros. Here the first expands to nothing
// and the second to its argument. The build that has mutants includes another header of this name
// (tests/mutation/seam) in place of this one.
#pragma once

/// First line of a function of the seam for stores. With a hook the function makes this call of the
/// hook and returns, so that the hook decides what happens.
#define MORSEL_MUTABLE(call)
/// The SystemCalls that a File uses. With a hook these are the hook's, which pass calls on to
/// `calls`.
#define MORSEL_MUTABLE_CALLS(calls) calls
