// How commands open a pool.
#pragma once

#include <memory>
#include <string>

#include "morsel/open/open_pool.h"

namespace morsel::cli {

enum class Access { kRead, kWrite };

/// Throws  Failure; of a path that holds no pool it says how to make one.
std::unique_ptr<OpenPool> OpenPoolAt(const std::string& path, Access access);

/// Throws  Failure: there is no morsel of that name, or nothing can be called so.
CatalogRecord FindMorsel(OpenPool& pool, const std::string& name);

}  // namespace morsel::cli
