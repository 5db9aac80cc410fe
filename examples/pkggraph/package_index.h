// Where a package index comes from, and reading the whole of it.
#pragma once

#include <string>
#include <vector>

#include "examples/pkggraph/package_record.h"

namespace pkggraph {

struct IndexText {
  std::string source;  ///< As it is called in a sentence.
  std::string text;
};

/// The file at `path`; if that is empty, what `apt-cache dumpavail` prints, or where it prints
/// nothing, dpkg's status file.
///
/// Errors  throws Failure (kBadIndex).
IndexText ReadIndexText(const std::string& path);

/// The packages of an index. The views in them are of the index' text.
///
/// Errors  throws Failure (kBadIndex) with the line's number; also when there is no package in it.
std::vector<PackageRecord> ParseIndex(const IndexText& index);

}  // namespace pkggraph
