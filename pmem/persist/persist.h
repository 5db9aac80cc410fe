// The seam: everything that the library stores on a byte-addressable medium,
// and everything that orders such stores, goes through here.
//
// Words as in libpmem2: flush pushes lines towards the medium, fence orders,
// persist is both. publish is the one 8-byte store that makes something true,
// and its persist.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/seam_hook.h"

namespace morsel::pmem {

/// How a medium is flushed and fenced. One table for DAX, one that does nothing
/// for the frames of an image, others in tests.
struct PersistTable {
  void (*flush)(void* context, const void* address, size_t size_bytes);
  void (*fence)(void* context);
  /// Stores zeros past the caches, as good as flushed. nullptr: there is nothing like it, and they
  /// are stored and flushed.
  void (*zero)(void* context, void* address, size_t size_bytes) = nullptr;
  /// Copies, large ranges past the caches, as good as flushed. nullptr: as with zero.
  void (*copy)(void* context, void* to, const void* from, size_t size_bytes) = nullptr;
};

/// Stores a word on the medium, after all that the thread stored before: within a line a crash
/// keeps that order. Durable only after a flush of its line and a fence.
/// Threads  others may read the word meanwhile; they see the old or the new one.
inline void Store(uint64_t* word, uint64_t value) {
  MORSEL_MUTABLE(Store(word, value));
  std::atomic_ref(*word).store(value, std::memory_order_release);
}

/// Reads a word of the medium that others may store meanwhile.
inline uint64_t Load(const uint64_t* word) {
  return std::atomic_ref(*const_cast<uint64_t*>(word)).load(std::memory_order_acquire);
}

/// Sets bits of a word that others set bits in at the same time; answers the word as it was.
/// Order and durability as Store(); sequentially consistent.
inline uint64_t SetBits(uint64_t* word, uint64_t bits) {
  return std::atomic_ref(*word).fetch_or(bits);
}

/// Clears bits of such a word. Order and durability as Store().
inline void ClearBits(uint64_t* word, uint64_t bits) {
  MORSEL_MUTABLE(ClearBits(word, bits));
  std::atomic_ref(*word).fetch_and(~bits);
}

/// A medium's table with its context: copied freely, owned by nobody.
class Persist {
 public:
  constexpr Persist(const PersistTable* table, void* context) : table_(table), context_(context) {}

  /// Pushes every line that [address, address + size_bytes) touches.
  /// Durability  none before this thread's next Fence().
  void Flush(const void* address, size_t size_bytes) const {
    MORSEL_MUTABLE(Flush(ForMutation(), address, size_bytes));
    table_->flush(context_, address, size_bytes);
  }

  /// Durability  what this thread flushed before is durable on return.
  void Fence() const {
    MORSEL_MUTABLE(Fence(ForMutation()));
    table_->fence(context_);
  }

  /// Makes a large range zero, past the caches where the medium has a way to do so: what was in
  /// them stays, and nothing is read first.
  /// Durability  as Flush().
  /// Threads  others see the zeros after this thread's next Fence() only.
  void Zero(void* address, size_t size_bytes) const {
    if (table_->zero != nullptr) return table_->zero(context_, address, size_bytes);
    std::memset(address, 0, size_bytes);
    Flush(address, size_bytes);
  }

  /// Copies bytes that do not overlap, a large range past the caches as Zero() does.
  /// Durability  as Flush().
  /// Threads  others see the bytes after this thread's next Fence() only.
  void Copy(void* to, const void* from, size_t size_bytes) const {
    if (table_->copy != nullptr) return table_->copy(context_, to, from, size_bytes);
    std::memcpy(to, from, size_bytes);
    Flush(to, size_bytes);
  }

  /// Flush() and Fence().
  void Range(const void* address, size_t size_bytes) const {
    MORSEL_MUTABLE(Range(ForMutation(), address, size_bytes));
    Flush(address, size_bytes);
    Fence();
  }

  /// Stores a word and makes it durable, after all that this thread stored before
  /// was flushed and fenced: that is the caller's to do.
  void Publish(uint64_t* word, uint64_t value) const {
    MORSEL_MUTABLE(Publish(ForMutation(), word, value));
    std::atomic_ref(*word).store(value, std::memory_order_release);
    Range(word, sizeof *word);
  }

 private:
#ifdef MORSEL_SEAM_HOOK
  mutation::Medium ForMutation() const;
#endif

  const PersistTable* table_;
  void* context_;
};

/// For memory that a crash may lose: the frames of an image. Nothing is pushed anywhere.
Persist VolatilePersist();

#ifdef MORSEL_SEAM_HOOK
inline mutation::Medium Persist::ForMutation() const {
  return {table_->flush, table_->fence, context_, table_ == VolatilePersist().table_};
}
#endif

}  // namespace morsel::pmem
