#include "examples/pkggraph/debian_version.h"

#include <algorithm>
#include <cstddef>

namespace pkggraph {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// '~' sorts before the end of a part, letters before all that is not one.
int Weight(std::string_view part, size_t at) {
  if (at == part.size() || IsDigit(part[at])) return 0;
  if (part[at] == '~') return -1;
  const int byte = static_cast<unsigned char>(part[at]);
  return IsLetter(part[at]) ? byte : byte + 256;
}

std::string_view TakeNumber(std::string_view part, size_t& at) {
  while (at < part.size() && part[at] == '0') ++at;
  const size_t first = at;
  while (at < part.size() && IsDigit(part[at])) ++at;
  return part.substr(first, at - first);
}

// Numbers of any length: without leading zeros, the longer one is the greater one.
int CompareNumbers(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return a.compare(b);
}

int CompareParts(std::string_view a, std::string_view b) {
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() || j < b.size()) {
    while ((i < a.size() && !IsDigit(a[i])) || (j < b.size() && !IsDigit(b[j]))) {
      if (const int difference = Weight(a, i) - Weight(b, j); difference != 0) return difference;
      i += i < a.size();
      j += j < b.size();
    }
    const std::string_view number_a = TakeNumber(a, i);
    const std::string_view number_b = TakeNumber(b, j);
    if (const int difference = CompareNumbers(number_a, number_b); difference != 0) {
      return difference;
    }
  }
  return 0;
}

struct Parts {
  std::string_view epoch, upstream, revision;
};

Parts Split(std::string_view version) {
  Parts parts;
  if (const size_t colon = version.find(':'); colon != version.npos) {
    parts.epoch = version.substr(0, colon);
    version.remove_prefix(colon + 1);
  }
  const size_t dash = std::min(version.rfind('-'), version.size());
  parts.upstream = version.substr(0, dash);
  parts.revision = version.substr(std::min(dash + 1, version.size()));
  return parts;
}

}  // namespace

int CompareVersions(std::string_view a, std::string_view b) {
  const Parts of_a = Split(a);
  const Parts of_b = Split(b);
  if (const int order = CompareParts(of_a.epoch, of_b.epoch); order != 0) return order;
  if (const int order = CompareParts(of_a.upstream, of_b.upstream); order != 0) return order;
  return CompareParts(of_a.revision, of_b.revision);
}

}  // namespace pkggraph
