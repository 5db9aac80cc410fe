// A morsel at another address, made of the bytes of one.
#pragma once

#include <functional>
#include <vector>

#include "base/result.h"
#include "image/pipeline/progress.h"
#include "morsel/pool/pool.h"
#include "morsel/rebase/moved_words.h"

namespace morsel {

/// How a morsel is to be moved.
struct Rebasing {
  uint64_t base = 0;            ///< 0: the pool chooses
  uint64_t capacity_bytes = 0;  ///< 0: as it is
  bool is_dry = false;          ///< nothing is made
  std::vector<PointersOfType> pointers{};
  std::function<void(const Doubt& doubt)> doubtful{};
  image::Progress progress{};  ///< called while it is stored
};

/// What was made of what.
struct Rebased {
  CatalogRecord before;
  CatalogRecord after;  ///< of a dry run the base may be 0
  MovedCounts counts{};
};

/// What the morsel that is made is to be, beside its place.
struct RebasedAs {
  std::string name;
  bool has_new_id = false;
  bool replaces = false;  ///< as in MakingWhole
  bool is_kept = false;   ///< as in MakingWhole
};

/// Makes a morsel of `bytes` in the pool, at another address.
/// Durability  as impl::Pool::MakeWhole().
/// Errors      as impl::Pool::MakeWhole(), OpenCopy() and MoveWords(); kInvalidArgument: the base
///             or the capacity can be none; kUnsupported: as ShiftFor().
Result<Rebased> MakeRebased(impl::Pool& pool, MorselBytes& bytes, const RebasedAs& as,
                            const Rebasing& rebasing);

}  // namespace morsel
