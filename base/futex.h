// Waiting for a word of memory to change, by futex(2): what a mutex is too much for.
#pragma once

#include <atomic>
#include <cstdint>

namespace morsel {

/// Sleeps while `word` is `value`, for so many nanoseconds at most. It may return sooner.
/// Threads  any.
void SleepWhile(const std::atomic<uint32_t>& word, uint32_t value, uint64_t nanoseconds);
/// As SleepWhile(), without an end.
void SleepWhile(const std::atomic<uint32_t>& word, uint32_t value);
/// Wakes all that sleep because of `word`.
/// Cost  one system call.
void WakeAll(const std::atomic<uint32_t>& word);

}  // namespace morsel
