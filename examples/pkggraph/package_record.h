// One package of an index: what a stanza says, checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "examples/pkggraph/relation.h"
#include "examples/pkggraph/stanza.h"

namespace pkggraph {

/// The views are of the parsed text.
struct PackageRecord {
  std::string_view name;
  std::string_view version;
  std::string_view architecture;
  std::string_view section;         ///< Empty if not said.
  std::string_view summary;         ///< The first line of the description.
  uint64_t installed_size_kib = 0;  ///< 0 if not said.
  std::vector<Relation> relations;  ///< Provides, then Pre-Depends, then Depends.
};

/// Nothing for a package that dpkg's status lists but that is not installed.
///
/// Errors  throws ParseError: Package, Version or Architecture is missing, or a value is malformed.
std::optional<PackageRecord> MakeRecord(const std::vector<Field>& stanza);

}  // namespace pkggraph
