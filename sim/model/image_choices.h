// Chooses which of the images that a crash may leave are tried.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>

#include "sim/model/medium_state.h"

namespace morsel::sim {

/// Calls `visit` with choices until it returns false. Returns whether it never did. With `newest`,
/// it visits only choices in which that line, which is undecided, has all its stores: images
/// without its last store were possible before. No two choices give the same image. It visits all
/// choices, those with the fewest lost lines first, if there are at most images_max. Else it visits
/// those that keep nothing, everything, all but one line or one line only, and a random sample.
bool ForEachChoice(const MediumState& state, std::optional<LineNumber> newest, uint64_t images_max,
                   std::mt19937_64& random, const std::function<bool(const Choice&)>& visit);

}  // namespace morsel::sim
