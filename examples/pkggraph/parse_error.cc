#include "examples/pkggraph/parse_error.h"

#include <cstdio>
#include <string_view>

namespace pkggraph {

std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 60;
  std::string quoted = "\"";
  for (const char character : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte >= 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", byte);
      quoted += escape;
    } else {
      quoted += character;
    }
  }
  quoted += text.size() > kShown ? "...\"" : "\"";
  return quoted;
}

}  // namespace pkggraph
