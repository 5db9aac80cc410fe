// What a load or store says that the medium cannot serve: the kernel sends SIGBUS. Of memory
// that is watched, the process says what was touched before the signal takes its course.
#pragma once

#include <cstdint>
#include <string>

namespace morsel::pmem {

/// Lets a SIGBUS at [memory, memory + size_bytes) end the process with a sentence that names
/// `label`, and where on `path`, from file_offset on, the address lies. Then it goes to whoever
/// handled SIGBUS when the first range was watched; without one the signal ends the process.
/// A program that handles SIGBUS itself later sees it first, and may hand it on.
/// Threads  any.
void WatchForBusErrors(const void* memory, uint64_t size_bytes, uint64_t file_offset,
                       const std::string& label, const std::string& path);

/// Nothing of [memory, memory + size_bytes) is watched any more.
/// Threads  any.
void ForgetBusErrors(const void* memory, uint64_t size_bytes);

/// What a fork must do, around it: the child has none of the ranges.
void BusErrorsBeforeFork();
void BusErrorsAfterFork(bool child);

}  // namespace morsel::pmem
