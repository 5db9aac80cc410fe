// Which of the images that a crash may leave are looked at.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>

#include "sim/model/medium_state.h"

namespace morsel::sim {

/// Calls `visit` with choices until it answers false; answers whether it never did. With `newest`,
/// only those in which that line, which is undecided, has all its stores: those without its last
/// one were possible before. No two choices give the same image. All, fewest lost lines first, if
/// they are no more than images_max; else nothing, everything, all but one line, one line only, and
/// others as `random` decides.
bool ForEachChoice(const MediumState& state, std::optional<LineNumber> newest, uint64_t images_max,
                   std::mt19937_64& random, const std::function<bool(const Choice&)>& visit);

}  // namespace morsel::sim
