// For the mutation check only: a seam call misbehaves if MORSEL_MUTANT names it.
//
//   MORSEL_MUTANT          PROGRAM:MUTATION:CHAIN[;CHAIN...], a CHAIN being return addresses
//                          from the seam outwards, hexadecimal, separated by commas, counted
//                          from the beginning of PROGRAM (what /proc/self/exe ends with); a call
//                          is meant if its own chain begins with one of them
//   MORSEL_MUTATION_LOG    a file to which each chain is appended when it is first seen:
//                          PROGRAM KIND CHAIN
//
// Calls are named by addresses and not by their text, so that the code under test needs no marks.
// tests/mutation translates the addresses. They are found by frame pointers.
//
// Mutations. drop: the call is not made. no-flush, no-fence, no-persist: that part of it is not
// made. delay: the call is made after the thread's next call on the same medium (a flush: after its
// next fence; a sync: after its next change of a file), which swaps the two. swap: for a store that
// is followed by another to the same line, since a crash keeps these in order. At the second store
// the line is, for a moment, as if that had come first.
//
// All of it is inline, since the seam is. Calls on memory that a crash loses anyway are never
// mutated, since nothing depends on their order.
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/units.h"

// The simulator's hooks must see the stores of the code under test, not those that are made here.
#define MORSEL_UNSEEN __attribute__((no_sanitize("thread")))

extern const char __executable_start;  // NOLINT: the linker's name

namespace morsel::pmem::mutation {

/// How a call reaches its medium.
struct Medium {
  void (*flush)(void* context, const void* address, size_t size_bytes);
  void (*fence)(void* context);
  void* context;
  bool is_volatile;
};

enum class Mutation { kNone, kDrop, kNoFlush, kNoFence, kNoPersist, kDelay, kSwap };

inline constexpr size_t kFramesMax = 8;
inline constexpr size_t kChainsMax = 256;

struct Chain {
  uintptr_t frames[kFramesMax] = {};
  size_t count = 0;
  bool operator==(const Chain&) const = default;
};

/// What the environment variables ask for.
struct Switch {
  char program[64] = {};
  Mutation mutation = Mutation::kNone;
  Chain chains[kChainsMax];
  size_t chain_count = 0;
  int log = -1;
};

MORSEL_UNSEEN inline Mutation MutationNamed(const char* name, size_t length) {
  static constexpr struct {
    const char* name;
    Mutation mutation;
  } kAll[] = {{"drop", Mutation::kDrop},        {"no-flush", Mutation::kNoFlush},
              {"no-fence", Mutation::kNoFence}, {"no-persist", Mutation::kNoPersist},
              {"delay", Mutation::kDelay},      {"swap", Mutation::kSwap}};
  for (const auto& one : kAll) {
    if (strlen(one.name) == length && memcmp(one.name, name, length) == 0) return one.mutation;
  }
  abort();  // a check that checks nothing must not pass for one
}

MORSEL_UNSEEN inline Switch ReadSwitch() {
  Switch found;
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  path[length > 0 ? length : 0] = '\0';
  const char* const slash = strrchr(path, '/');
  snprintf(found.program, sizeof found.program, "%.63s", slash == nullptr ? path : slash + 1);
  if (const char* const log = getenv("MORSEL_MUTATION_LOG")) {
    found.log = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  }
  const char* at = getenv("MORSEL_MUTANT");
  const size_t program_length = strlen(found.program);
  if (at == nullptr || strncmp(at, found.program, program_length) != 0 ||
      at[program_length] != ':') {
    return found;
  }
  at += program_length + 1;
  const size_t name_length = strcspn(at, ":");
  found.mutation = MutationNamed(at, name_length);
  at += name_length;
  while (*at != '\0') {  // at a separator
    if (*at != ',') ++found.chain_count;
    if (found.chain_count > kChainsMax) abort();
    Chain& chain = found.chains[found.chain_count - 1];
    char* end;
    chain.frames[chain.count++] = strtoul(at + 1, &end, 16);
    if (end == at + 1 || chain.count > kFramesMax) abort();
    at = end;
  }
  return found;
}

MORSEL_UNSEEN inline const Switch& TheSwitch() {
  static const Switch the_switch = ReadSwitch();
  return the_switch;
}

MORSEL_UNSEEN inline uintptr_t StackEnd() {
  static thread_local uintptr_t end = 0;
  if (end == 0) {
    pthread_attr_t attributes;
    void* begin;
    size_t size_bytes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) abort();
    pthread_attr_getstack(&attributes, &begin, &size_bytes);
    pthread_attr_destroy(&attributes);
    end = reinterpret_cast<uintptr_t>(begin) + size_bytes;
  }
  return end;
}

/// Return addresses, outwards from that of the function with this frame.
MORSEL_UNSEEN inline Chain ChainFrom(const void* innermost) {
  Chain chain;
  const uintptr_t end = StackEnd();
  const uintptr_t start = reinterpret_cast<uintptr_t>(&__executable_start);
  auto frame = static_cast<const uintptr_t*>(innermost);
  while (chain.count < kFramesMax) {
    chain.frames[chain.count++] = frame[1] - start;
    const uintptr_t next = frame[0];
    // Code without frame pointers leaves anything there.
    if (next <= reinterpret_cast<uintptr_t>(frame) || next % sizeof(uintptr_t) != 0 ||
        next + 2 * sizeof(uintptr_t) > end) {
      break;
    }
    frame = reinterpret_cast<const uintptr_t*>(next);
  }
  return chain;
}

MORSEL_UNSEEN inline void Log(const char* kind, const Chain& chain) {
  static uint64_t seen[1 << 16];  // by hash: a collision hides one chain among many
  uint64_t hash = 1;
  for (const uintptr_t frame : chain.frames) hash = (hash ^ frame) * 0x9e3779b97f4a7c15;
  uint64_t& slot = seen[hash >> 48];
  if (__atomic_exchange_n(&slot, hash, __ATOMIC_RELAXED) == hash) return;
  char line[256];
  int length = snprintf(line, sizeof line, "%s %s", TheSwitch().program, kind);
  for (size_t i = 0; i < chain.count; ++i) {
    length += snprintf(line + length, sizeof line - static_cast<size_t>(length), "%c%lx",
                       i == 0 ? ' ' : ',', chain.frames[i]);
  }
  line[length++] = '\n';
  if (write(TheSwitch().log, line, static_cast<size_t>(length)) != length) abort();
}

inline bool IsOn() { return TheSwitch().log >= 0 || TheSwitch().mutation != Mutation::kNone; }

/// How the call of this chain misbehaves.
MORSEL_UNSEEN inline Mutation MutationOf(const char* kind, const Chain& chain) {
  const Switch& the_switch = TheSwitch();
  if (the_switch.log >= 0) Log(kind, chain);
  for (size_t i = 0; i < the_switch.chain_count; ++i) {
    const Chain& wanted = the_switch.chains[i];
    if (wanted.count <= chain.count &&
        memcmp(wanted.frames, chain.frames, wanted.count * sizeof(uintptr_t)) == 0) {
      return the_switch.mutation;
    }
  }
  return Mutation::kNone;
}

/// How the call that is being made misbehaves.
MORSEL_UNSEEN [[gnu::noinline]] inline Mutation MutationHere(const char* kind) {
  if (!IsOn()) return Mutation::kNone;
  return MutationOf(kind, ChainFrom(__builtin_frame_address(0)));
}

}  // namespace morsel::pmem::mutation
