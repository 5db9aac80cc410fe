#include "morsel/roots/root_type.h"

#include <cinttypes>
#include <cstdio>

#include "base/checksum.h"
#include "base/demangled.h"
#include "morsel/roots/short_type_name.h"

namespace morsel {

namespace {

bool IsComputed(uint32_t layout) { return layout >= kRootLayoutComputed; }

// A program that computed none says nothing of what a container keeps.
bool LayoutsFit(uint32_t one, uint32_t other) {
  return one == other || (one == 0 && IsComputed(other)) || (other == 0 && IsComputed(one));
}

}  // namespace

bool Fits(const RootType& given, const RootType& wanted) {
  if (!given.is_typed() || !wanted.is_typed()) return true;
  return given.size_bytes == wanted.size_bytes && given.alignment == wanted.alignment &&
         LayoutsFit(given.layout, wanted.layout) &&
         (given.name.empty() || wanted.name.empty() || given.name == wanted.name);
}

namespace {

// The same class has two names, since what it does differs between programs that are built with and
// without exceptions. Its bytes do not.
constexpr std::string_view kWithExceptions = "15with_exceptions";
constexpr std::string_view kWithoutExceptions = "18without_exceptions";

void Replace(std::string& in, std::string_view from, std::string_view to) {
  for (size_t at = in.find(from); at != std::string::npos; at = in.find(from, at + to.size())) {
    in.replace(at, from.size(), to);
  }
}

}  // namespace

std::string MangledNameToKeep(std::string_view name) {
  std::string one(name);
  Replace(one, kWithoutExceptions, kWithExceptions);
  return TypeNameToKeep(one);
}

std::string TypeNameToKeep(std::string_view name) {
  if (name.size() <= kTypeNameBytesMax) return std::string(name);
  char hash[18];
  std::snprintf(hash, sizeof hash, "#%016" PRIx64, Checksum64(name.data(), name.size()));
  return std::string(name.substr(0, kTypeNameBytesMax - 17)) + hash;
}

std::string ReadableName(const RootType& type) {
  std::string name(type.name);
  if ((type.flags & kRootMangled) == 0) return name;
  name = Demangled(name.c_str());
  Replace(name, "with_exceptions::", "");
  return name;
}

std::string NameInWords(const RootType& type) {
  const std::string name = ReadableName(type);
  return (type.flags & kRootMangled) == 0 ? name : ShortTypeName(name);
}

std::string InWords(const RootType& type) {
  if (!type.is_typed()) return "an object without a type";
  char rest[96];
  if (IsComputed(type.layout)) {
    std::snprintf(rest, sizeof rest, "(%" PRIu64 " bytes, alignment %u, elements %08x)",
                  type.size_bytes, type.alignment, type.layout);
  } else {
    std::snprintf(rest, sizeof rest, "(%" PRIu64 " bytes, alignment %u, layout %u)",
                  type.size_bytes, type.alignment, type.layout);
  }
  return (type.name.empty() ? "a type without a name " : "'" + NameInWords(type) + "' ") + rest;
}

}  // namespace morsel
