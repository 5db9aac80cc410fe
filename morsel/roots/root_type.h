// The type of a root's object, as the program says it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "morsel/roots/root_layout.h"

namespace morsel {

/// Ownership  the name is somebody else's.
struct RootType {
  uint64_t size_bytes = 0;
  uint32_t alignment = 0;
  uint32_t layout = 0;
  uint16_t flags = 0;  ///< RootFlags; 0: no type
  std::string_view name{};

  bool is_typed() const { return (flags & kRootTyped) != 0; }
  friend bool operator==(const RootType&, const RootType&) = default;
};

/// Whether an object that was given one type may be used as another. One without a type may be
/// used as any, and any may be asked for without a type. Likewise for the names of types.
bool Fits(const RootType& given, const RootType& wanted);

/// A type's name, or its beginning and the hash of the whole if it is longer than
/// kTypeNameBytesMax.
std::string TypeNameToKeep(std::string_view name);
/// The same of a mangled name, which becomes one that does not depend on how a program is built.
std::string MangledNameToKeep(std::string_view name);

/// The type in words, e.g. "'Account' (16 bytes, alignment 8, layout 0)".
std::string InWords(const RootType& type);

/// The type's name with all that belongs to it, demangled, if it is mangled; else as it is.
std::string ReadableName(const RootType& type);
/// The same as one writes it in C++: see ShortTypeName().
std::string NameInWords(const RootType& type);

}  // namespace morsel
