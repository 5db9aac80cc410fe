// Messages for bus errors. The kernel sends SIGBUS for a load or store that the medium cannot
// serve. If the memory is watched, the process writes which morsel and which offset it was, and
// then the signal takes its course.
#pragma once

#include <cstdint>
#include <string>

namespace morsel::os {

/// What is watched: the tables of a pool, or a morsel, which the program itself touches.
enum class Watches { kTables, kMorsel };

/// Watches [memory, memory + size_bytes), which maps `path` from file_offset on. A SIGBUS there
/// first writes a message to standard error that names `label`, `path` and the offset in it.
///
/// Then the signal goes to what was installed for it when the first morsel was watched: a handler
/// runs; where it was ignored and some process has sent it, it is ignored; else it ends the
/// process. A handler that the program installs later gets the signal first, and may pass it on.
/// Before there is a morsel, the program's handler and its wish to ignore the signal are left
/// alone.
/// Threads  any. What a thread touches that blocks the signal ends the process without a message.
void WatchForBusErrors(Watches what, const void* memory, uint64_t size_bytes, uint64_t file_offset,
                       const std::string& label, const std::string& path);

/// Stops watching [memory, memory + size_bytes). Of a watched range that overlaps it only the part
/// before `memory` stays watched; a part behind the end does not.
/// Threads  any.
void ForgetBusErrors(const void* memory, uint64_t size_bytes);

/// To be called before and after fork(2). The child watches nothing.
void BusErrorsBeforeFork();
void BusErrorsAfterFork(bool child);

}  // namespace morsel::os
