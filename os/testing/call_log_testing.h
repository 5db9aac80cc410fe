// For tests: which system calls a thread makes.
#pragma once

#include <string>
#include <vector>

namespace morsel::os {

/// From now on each system call of this thread is written down: seccomp(2) traps it, and a handler
/// of SIGSYS makes it. It needs no rights. It cannot be ended, so that it is for a child that ends
/// by _exit(2). Calls while SIGSYS is blocked end the process.
/// Errors  false and errno: the kernel has no filters, or does not allow them.
bool LogCallsOfThisThread();

/// The names of the calls that this thread has made since LogCallsOfThisThread(), or since this was
/// called last. fstat(2) is "fstat", by whichever number it is made.
std::vector<std::string> TakeLoggedCalls();

}  // namespace morsel::os
