// For tests: which codes the public headers say that a call may answer.
#pragma once

#include <map>
#include <set>
#include <string>

#include "morsel/morsel.h"

namespace morsel::trouble {

/// By the name of each function that returns a code: the codes in the comment above it, behind
/// "Errors", and those of the calls that are named there ("as morsel_export()"), unless in
/// parentheses behind a code, which is that code only then.
std::map<std::string, std::set<morsel_code>> DocumentedCodes();

/// Notes that the call has answered the code. When all tests of the program have run, each pair
/// that is documented must have been noted.
void NoteReached(const std::string& call, morsel_code code);

}  // namespace morsel::trouble
