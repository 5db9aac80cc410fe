// Where a morsel's memory lies, and where it is to lie: what becomes of each address.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "morsel/pool/pool.h"

namespace morsel {

/// The addresses of a morsel are three parts, each of which moves as a whole:
///
///   [base, base + prefix_bytes)        the heap's own tables     -> to_base
///   the rest of [base, base + capacity)  blocks                  -> to_base + shift_bytes
///   the process' page behind the capacity                        -> behind to_capacity_bytes
///
/// What lies between two addresses of one part stays between them, so what is sorted by address
/// stays sorted, and a pointer to the end of one block stays one to the begin of the next.
struct Move {
  uint64_t from_base = 0;
  uint64_t from_capacity_bytes = 0;
  uint64_t to_base = 0;
  uint64_t to_capacity_bytes = 0;
  /// By how much blocks move inside of the morsel. Where the capacity grows from less than 1 GiB,
  /// the heap's tables take more room than they had.
  uint64_t shift_bytes = 0;

  /// What an address of the morsel becomes; nothing: it is none of its.
  /// prefix_bytes  of the heap that moves.
  std::optional<uint64_t> Moved(uint64_t address, uint64_t prefix_bytes) const;
};

/// Returns how far blocks move inside of a morsel that gets another capacity: 0, or a multiple of
/// kSubtreeBytes, so that they keep their alignment.
/// Errors  kUnsupported: the tables would need the place of blocks that cannot move.
Result<uint64_t> ShiftFor(uint64_t from_capacity_bytes, uint64_t to_capacity_bytes);

/// Returns how far blocks are to move, at least `shift_bytes`, so that their addresses are like
/// those before: by a multiple of `alignment` away, or, where the morsel has no room for that, of
/// as large a power of two as it has. Only blocks of one region can move inside of a morsel.
/// from_base  the morsel's address before; to_base: what the new one is, or any that is as it will
///            be modulo kGiantBytes.
uint64_t AlignedShift(uint64_t from_base, uint64_t to_base, uint64_t size_bytes,
                      uint64_t shift_bytes, uint64_t alignment);

}  // namespace morsel
