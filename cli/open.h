// How commands open a pool.
#pragma once

#include <memory>
#include <string>

#include "morsel/open/open_pool.h"

namespace morsel::cli {

enum class Access { kRead, kWrite };

/// Opens the pool at `path`.
/// Throws  Failure; if there is no pool, its message says how to make one.
std::unique_ptr<OpenPool> OpenPoolAt(const std::string& path, Access access);

/// Returns what the pool knows of the morsel `name`.
/// Throws  Failure: there is no such morsel, or `name` cannot be a morsel's name.
CatalogRecord FindMorsel(OpenPool& pool, const std::string& name);

}  // namespace morsel::cli
