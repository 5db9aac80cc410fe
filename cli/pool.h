// How commands open a pool and find a morsel in it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "morsel/tools.h"

namespace morsel::cli {

struct ClosePool {
  void operator()(morsel_pool_t* pool) const { (void)morsel_pool_close(pool); }
};
/// An open pool. It is closed with the object; its morsels must be closed before.
using PoolHandle = std::unique_ptr<morsel_pool_t, ClosePool>;

/// What a command does with a pool: reads it, changes what is in it, or adds a morsel.
enum class Access { kRead, kChange, kAdd };

/// Opens the pool at `path`.
/// Throws  Failure; if there is no pool to add to, its message says how to make one.
PoolHandle OpenPoolAt(const std::string& path, Access access);

/// Returns what the pool is.
/// Throws  Failure.
morsel_pool_info PoolInfo(morsel_pool_t* pool);

/// Whether the pool lists something of that name that is no morsel as it is, e.g. since the name is
/// too long for one.
bool IsListedUnreadable(morsel_pool_t* pool, const std::string& name);

/// Returns the name of the morsel that the user means: the one that is listed as it was typed (see
/// SpellingOf()), or else the one whose name was typed, or else what that spells.
std::string NameMeant(morsel_pool_t* pool, const std::string& typed);

/// Returns what the pool knows of the morsel `name`.
/// Throws  Failure: there is no such morsel, or `name` cannot be a morsel's name.
morsel_info FindMorsel(morsel_pool_t* pool, const std::string& name);

}  // namespace morsel::cli
