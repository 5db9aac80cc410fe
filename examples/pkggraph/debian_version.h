// Which of two Debian versions is the later one.
#pragma once

#include <string_view>

namespace pkggraph {

/// Below 0, 0 or above 0, as `a` is earlier than, as late as or later than `b`, by the rules of
/// Debian's policy (epoch, upstream version, revision; '~' before everything, the end included).
int CompareVersions(std::string_view a, std::string_view b);

}  // namespace pkggraph
