// The seam towards byte-addressable media: every flush and every fence goes through here, and the
// stores of words that others read at once, or whose order counts. Bytes that nobody believes yet
// may be stored as usual, and are flushed.
//
// The words are those of libpmem2. A flush pushes lines towards the medium. A fence makes durable
// what was flushed before. To persist is to do both. To publish is to make something true by one
// 8-byte store, and to persist that store.
#pragma once

#include <seam_hook.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace morsel::pmem {

/// The functions that flush and fence a medium. There is one table for persistent memory, and one
/// for the frames of an image, whose functions do nothing. Tests have others.
struct PersistTable {
  void (*flush)(void* context, const void* address, size_t size_bytes);
  void (*fence)(void* context);
  /// Stores zeros past the caches; they count as flushed. If it is nullptr, zeros are stored as
  /// usual and flushed.
  void (*zero)(void* context, void* address, size_t size_bytes) = nullptr;
  /// Copies bytes, large ranges past the caches; they count as flushed. If it is nullptr, bytes are
  /// copied as usual and flushed.
  void (*copy)(void* context, void* to, const void* from, size_t size_bytes) = nullptr;
};

/// Stores a word on the medium, after everything that this thread stored before. Within a line a
/// crash keeps that order.
/// Durability  none before a flush of its line and a fence.
/// Threads     others may read the word meanwhile; they see the old or the new value.
inline void Store(uint64_t* word, uint64_t value) {
  MORSEL_MUTABLE(Store(word, value));
  std::atomic_ref(*word).store(value, std::memory_order_release);
}

/// Reads a word of the medium.
/// Threads  others may store the word meanwhile.
inline uint64_t Load(const uint64_t* word) {
  return std::atomic_ref(*const_cast<uint64_t*>(word)).load(std::memory_order_acquire);
}

/// Sets bits of a word, and returns the word as it was before. It keeps the order that Store()
/// keeps, and is sequentially consistent.
/// Durability  as Store().
/// Threads     others may change bits of the word meanwhile.
inline uint64_t SetBits(uint64_t* word, uint64_t bits) {
  return std::atomic_ref(*word).fetch_or(bits);
}

/// Clears bits of a word. It keeps the order that Store() keeps, and is sequentially consistent.
/// Durability  as Store().
/// Threads     others may change bits of the word meanwhile.
inline void ClearBits(uint64_t* word, uint64_t bits) {
  MORSEL_MUTABLE(ClearBits(word, bits));
  std::atomic_ref(*word).fetch_and(~bits);
}

/// A medium's table and its context.
/// Ownership  a copyable pair of pointers; table and context outlive it.
/// Threads    any.
class Persist {
 public:
  constexpr Persist(const PersistTable* table, void* context) : table_(table), context_(context) {}

  /// Flushes every line that [address, address + size_bytes) touches.
  /// Durability  none before this thread's next Fence().
  void Flush(const void* address, size_t size_bytes) const {
    MORSEL_MUTABLE(Flush(MediumOf(*table_, context_), address, size_bytes));
    table_->flush(context_, address, size_bytes);
  }

  /// Waits for this thread's flushes.
  /// Durability  what this thread flushed before is durable on return.
  void Fence() const {
    MORSEL_MUTABLE(Fence(MediumOf(*table_, context_)));
    table_->fence(context_);
  }

  /// Makes a large range zero, past the caches if the medium's table can. Then no lines are read
  /// first, and what is in the caches stays there.
  /// Durability  as Flush().
  /// Threads     others see the zeros only after this thread's next Fence().
  void Zero(void* address, size_t size_bytes) const {
    if (table_->zero != nullptr) return table_->zero(context_, address, size_bytes);
    std::memset(address, 0, size_bytes);
    Flush(address, size_bytes);
  }

  /// Copies bytes, a large range past the caches as Zero() does. `to` and `from` must not overlap.
  /// Durability  as Flush().
  /// Threads     others see the bytes only after this thread's next Fence().
  void Copy(void* to, const void* from, size_t size_bytes) const {
    if (table_->copy != nullptr) return table_->copy(context_, to, from, size_bytes);
    std::memcpy(to, from, size_bytes);
    Flush(to, size_bytes);
  }

  /// Persists a range: Flush() and then Fence().
  /// Durability  the range, on return.
  void Range(const void* address, size_t size_bytes) const {
    MORSEL_MUTABLE(Range(MediumOf(*table_, context_), address, size_bytes));
    Flush(address, size_bytes);
    Fence();
  }

  /// Stores a word and persists it. Before that the caller has flushed and fenced all that the word
  /// makes true.
  /// Durability  the word, on return.
  void Publish(uint64_t* word, uint64_t value) const {
    MORSEL_MUTABLE(Publish(MediumOf(*table_, context_), word, value));
    std::atomic_ref(*word).store(value, std::memory_order_release);
    Range(word, sizeof *word);
  }

 private:
  const PersistTable* table_;
  void* context_;
};

/// The table for memory that a crash may lose, which is the frames of an image. Flush and fence do
/// nothing.
extern const PersistTable kVolatileTable;
inline Persist VolatilePersist() { return {&kVolatileTable, nullptr}; }

}  // namespace morsel::pmem
