// For the mutation check only: what a flush, a fence and a publish do when they misbehave.
#pragma once

#include <atomic>

#include "tests/mutation/seam/mutation_switch.h"

namespace morsel::pmem {

struct PersistTable;
extern const PersistTable kVolatileTable;

/// A template, since the seam declares its table only after the hook.
template <class Table>
mutation::Medium MediumOf(const Table& table, void* context) {
  return {table.flush, table.fence, context, &table == &kVolatileTable};
}

}  // namespace morsel::pmem

namespace morsel::pmem::mutation {

/// A call that is postponed.
struct Late {
  enum class Kind { kFlush, kFence, kRange, kPublish };
  Kind kind;
  Medium medium;
  const void* address;
  size_t size_bytes;
  uint64_t value;
};

/// The calls that this thread has postponed, and its last store, which may be swapped with its
/// next.
struct Backlog {
  static constexpr size_t kLateMax = 64;
  Late late[kLateMax];
  size_t late_count = 0;
  uint64_t* stored_word = nullptr;
  uint64_t stored_old = 0;
  Chain stored_by;
};

inline thread_local Backlog backlog;

inline uint64_t LoadWord(uint64_t* word) {
  return std::atomic_ref(*word).load(std::memory_order_acquire);
}

inline void StoreWord(uint64_t* word, uint64_t value) {
  std::atomic_ref(*word).store(value, std::memory_order_release);
}

inline void DoLate(const Late& late) {
  auto* const word = static_cast<uint64_t*>(const_cast<void*>(late.address));
  if (late.kind == Late::Kind::kPublish) StoreWord(word, late.value);
  if (late.kind != Late::Kind::kFence) {
    late.medium.flush(late.medium.context, late.address, late.size_bytes);
  }
  if (late.kind != Late::Kind::kFlush) late.medium.fence(late.medium.context);
}

inline Late TakeLate(size_t index) {
  const Late late = backlog.late[index];
  for (size_t i = index + 1; i < backlog.late_count; ++i) backlog.late[i - 1] = backlog.late[i];
  --backlog.late_count;
  return late;
}

inline void Postpone(const Late& late) {
  if (backlog.late_count == Backlog::kLateMax) DoLate(TakeLate(0));
  backlog.late[backlog.late_count++] = late;
}

/// After a call on `medium`, makes the calls that were postponed until then. Tests run whole
/// recoveries at their crash points meanwhile, so a call is taken off the list before it is made.
inline void CatchUp(const Medium& medium, bool fenced) {
  for (size_t i = 0; i < backlog.late_count;) {
    const Late& late = backlog.late[i];
    const bool same = late.medium.flush == medium.flush && late.medium.context == medium.context;
    if (same && (fenced || late.kind != Late::Kind::kFlush)) {
      DoLate(TakeLate(i));
      i = 0;
    } else {
      ++i;
    }
  }
}

inline bool SameLine(const uint64_t* one, const uint64_t* other) {
  return reinterpret_cast<uintptr_t>(one) / kLineBytes ==
         reinterpret_cast<uintptr_t>(other) / kLineBytes;
}

/// Makes a store. Swaps it with the store before if the switch says so and if that was made
/// elsewhere, to another word of the line.
inline void StoreAsTold(uint64_t* word, uint64_t value, const Chain& chain) {
  uint64_t* const first = backlog.stored_word;
  const uint64_t old = LoadWord(word);
  if (first != nullptr && first != word && SameLine(first, word) && chain != backlog.stored_by &&
      MutationOf("store", backlog.stored_by) == Mutation::kSwap) {
    const uint64_t first_value = LoadWord(first);
    StoreWord(first, backlog.stored_old);
    StoreWord(word, value);
    StoreWord(first, first_value);
  } else {
    StoreWord(word, value);
  }
  backlog.stored_word = word;
  backlog.stored_old = old;
  backlog.stored_by = chain;
}

[[gnu::noinline]] inline void Store(uint64_t* word, uint64_t value) {
  if (!IsOn()) return StoreWord(word, value);
  StoreAsTold(word, value, ChainFrom(__builtin_frame_address(0)));
}

/// It is not atomic while the check runs, since the check looks for wrong orders and not for races.
[[gnu::noinline]] inline void ClearBits(uint64_t* word, uint64_t bits) {
  if (!IsOn()) {
    std::atomic_ref(*word).fetch_and(~bits);
    return;
  }
  StoreAsTold(word, LoadWord(word) & ~bits, ChainFrom(__builtin_frame_address(0)));
}

[[gnu::noinline]] inline void Flush(const Medium& medium, const void* address, size_t size_bytes) {
  backlog.stored_word = nullptr;
  if (medium.is_volatile) return medium.flush(medium.context, address, size_bytes);
  const Mutation mutation = MutationHere("flush");
  if (mutation == Mutation::kDelay) {
    Postpone({Late::Kind::kFlush, medium, address, size_bytes, 0});
    return;
  }
  if (mutation != Mutation::kDrop) medium.flush(medium.context, address, size_bytes);
  CatchUp(medium, false);
}

[[gnu::noinline]] inline void Fence(const Medium& medium) {
  backlog.stored_word = nullptr;
  if (medium.is_volatile) return medium.fence(medium.context);
  const Mutation mutation = MutationHere("fence");
  if (mutation == Mutation::kDelay) {
    CatchUp(medium, true);
    Postpone({Late::Kind::kFence, medium, nullptr, 0, 0});
    return;
  }
  if (mutation != Mutation::kDrop) medium.fence(medium.context);
  CatchUp(medium, true);
}

/// The flush and the fence of one call, or one of them.
inline void PersistAsTold(const Medium& medium, const void* address, size_t size_bytes,
                          Mutation mutation) {
  const bool none = mutation == Mutation::kDrop || mutation == Mutation::kNoPersist;
  backlog.stored_word = nullptr;
  if (!none && mutation != Mutation::kNoFlush) medium.flush(medium.context, address, size_bytes);
  if (!none && mutation != Mutation::kNoFence) medium.fence(medium.context);
  CatchUp(medium, true);
}

[[gnu::noinline]] inline void Range(const Medium& medium, const void* address, size_t size_bytes) {
  if (medium.is_volatile) {
    backlog.stored_word = nullptr;
    medium.flush(medium.context, address, size_bytes);
    return medium.fence(medium.context);
  }
  const Mutation mutation = MutationHere("range");
  if (mutation == Mutation::kDelay) {
    CatchUp(medium, true);
    Postpone({Late::Kind::kRange, medium, address, size_bytes, 0});
    return;
  }
  PersistAsTold(medium, address, size_bytes, mutation);
}

[[gnu::noinline]] inline void Publish(const Medium& medium, uint64_t* word, uint64_t value) {
  if (!IsOn() || medium.is_volatile) {
    backlog.stored_word = nullptr;
    StoreWord(word, value);
    medium.flush(medium.context, word, sizeof *word);
    return medium.fence(medium.context);
  }
  const Chain chain = ChainFrom(__builtin_frame_address(0));
  const Mutation mutation = MutationOf("publish", chain);
  if (mutation == Mutation::kDelay) {
    CatchUp(medium, true);
    Postpone({Late::Kind::kPublish, medium, word, sizeof *word, value});
    return;
  }
  if (mutation != Mutation::kDrop) StoreAsTold(word, value, chain);
  PersistAsTold(medium, word, sizeof *word, mutation);
}

}  // namespace morsel::pmem::mutation
