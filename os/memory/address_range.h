// A range of the process' address space that nothing else can take.
//
// [I-1] From Reserve() to destruction this object maps every byte of the range: what is not placed
//       is PROT_NONE. There is never a hole.
// [I-2] A forked child has no mapping of the range.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace morsel::os {

/// Ownership  the range is unmapped with the object, and then not watched for bus errors any more;
///            move-only.
/// Threads    one call at a time for each range.
class AddressRange {
 public:
  AddressRange() = default;
  AddressRange(AddressRange&& other) noexcept;
  AddressRange& operator=(AddressRange&& other) noexcept;
  ~AddressRange();

  /// Reserves [base, base + size_bytes). Messages about conflicts call the range `label`, e.g.
  /// "morsel 'graph' of pool '/data'".
  /// Units   base and size_bytes are multiples of the page size.
  /// Errors  kAddressTaken: the message names the range or mapping that is there; kNoMemory.
  static Result<AddressRange> Reserve(uint64_t base, uint64_t size_bytes, std::string label);

  /// Moves the mapping [mapping, mapping + size_bytes) to `offset` of the range, where it replaces
  /// what is there.
  /// Ownership  on success the range owns the mapping; after a failure the caller still does.
  /// Errors     kNoMemory: the range is as before.
  Status Place(void* mapping, uint64_t offset, uint64_t size_bytes);

  /// Makes [offset, offset + size_bytes) PROT_NONE again. What was placed there is unmapped, and no
  /// longer watched for bus errors.
  /// Errors  kNoMemory: the range is as before.
  Status Withdraw(uint64_t offset, uint64_t size_bytes);

  /// To be called before and after fork(2), so that a child does not inherit a lock that another
  /// thread of the parent holds. The child has no ranges.
  static void BeforeFork();
  static void AfterFork(bool child);

  bool is_reserved() const { return size_bytes_ != 0; }
  uint64_t base() const { return base_; }
  uint64_t size_bytes() const { return size_bytes_; }
  char* at(uint64_t offset) const { return reinterpret_cast<char*>(base_ + offset); }

 private:
  void Release();

  uint64_t base_ = 0;
  uint64_t size_bytes_ = 0;
};

}  // namespace morsel::os
