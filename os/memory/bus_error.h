// Messages for bus errors. The kernel sends SIGBUS for a load or store that the medium cannot
// serve. If the memory is watched, the process writes which morsel and which offset it was, and
// then the signal takes its course.
#pragma once

#include <cstdint>
#include <string>

namespace morsel::os {

/// Watches [memory, memory + size_bytes), which maps `path` from file_offset on. A SIGBUS there
/// first writes a message to standard error that names `label`, `path` and the offset in it.
///
/// Then the handler runs that was installed when the first range was watched. If there was none,
/// the signal ends the process. A handler that the program installs later gets the signal first,
/// and may pass it on.
/// Threads  any.
void WatchForBusErrors(const void* memory, uint64_t size_bytes, uint64_t file_offset,
                       const std::string& label, const std::string& path);

/// Stops watching [memory, memory + size_bytes). Of a watched range that overlaps it only the part
/// before `memory` stays watched; a part behind the end does not.
/// Threads  any.
void ForgetBusErrors(const void* memory, uint64_t size_bytes);

/// To be called before and after fork(2). The child watches nothing.
void BusErrorsBeforeFork();
void BusErrorsAfterFork(bool child);

}  // namespace morsel::os
