// Names of C++ as programmers write them.
#pragma once

#include <string>

namespace morsel {

/// Returns the readable form of a mangled name, or the name itself if it is none.
std::string Demangled(const char* name);

}  // namespace morsel
