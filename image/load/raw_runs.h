// Which leaves of an image lie in the file as they are in memory.
#pragma once

#include <vector>

#include "image/format/tree.h"
#include "os/memory/page_runs.h"

namespace morsel::image {

/// Returns the raw leaves of `tree`, of an image of this version, in the order of their positions.
/// Those that are neighbours in the file, too, are one run.
std::vector<os::FileRun> RawRunsOf(const Tree& tree);

/// Returns `tree` without the leaves that `runs` have, and without what is listed of them.
Tree WithoutRuns(Tree tree, const std::vector<os::FileRun>& runs);

}  // namespace morsel::image
