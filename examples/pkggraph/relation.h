// The fields that relate packages: Depends, Pre-Depends, Provides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace pkggraph {

/// How one package, or name, points at another.
enum class EdgeKind : uint8_t {
  kDepends,
  kPreDepends,
  kAlternative,     ///< One of several in a clause of Depends: `a | b`.
  kPreAlternative,  ///< The same in Pre-Depends.
  kProvides,
  kProvidedBy  ///< From a name to a package that provides it; never in an index.
};
inline constexpr size_t kEdgeKinds = 6;

/// As it is shown to people.
const char* EdgeKindName(EdgeKind kind);

enum class VersionOrder : uint8_t {
  kAny,
  kEarlier,
  kEarlierOrEqual,
  kEqual,
  kLaterOrEqual,
  kLater
};

/// As an index writes it, e.g. ">="; "" for kAny.
const char* VersionOrderSign(VersionOrder order);

/// One `name:qualifier (order version)`. The views are of the parsed text.
struct Relation {
  EdgeKind kind;
  VersionOrder order = VersionOrder::kAny;
  uint32_t clause = 0;  ///< Alternatives of one clause have the same number.
  std::string_view name = {};
  std::string_view qualifier = {};  ///< "any", an architecture, or empty.
  std::string_view version = {};    ///< Empty for kAny.
};

/// Appends the relations of a field's value. `kind` is kDepends, kPreDepends or kProvides, `line`
/// where the value begins, `clause` the first clause's number.
///
/// Errors  throws ParseError.
void ParseRelations(EdgeKind kind, std::string_view value, size_t line, uint32_t clause,
                    std::vector<Relation>& relations);

/// May this stand as a package's name, or as a version?
bool IsPackageName(std::string_view name);
bool IsVersion(std::string_view version);

}  // namespace pkggraph
