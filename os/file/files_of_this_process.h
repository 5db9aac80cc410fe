// Files that a child of fork(2) must not keep.
//
// A lock is its file description's, which a child has, too: as long as the child lives, the file
// stays locked, also after the parent has closed it or was killed. So a child closes such files at
// once.
#pragma once

#include <mutex>

#include "base/descriptor.h"
#include "base/mutex.h"

namespace morsel::os {

/// From now on children close `descriptor` when they begin, if it is its file's then.
/// Threads  any.
void CloseInChildren(const Descriptor& descriptor);

/// Takes that back. False if a fork has closed the descriptor, which may be another file's by now.
/// Threads  any.
bool KeepInChildren(const Descriptor& descriptor);

/// Makes forks of other threads wait as long as the returned lock lives: from the opening of such a
/// file until its CloseInChildren().
[[nodiscard]] std::unique_lock<Mutex> NoForkMeanwhile();

/// To be called around fork(2).
void FilesBeforeFork();
void FilesAfterFork(bool child);

}  // namespace morsel::os
