// A range of the process' address space that nothing else can take.
//
// [I-1] Between Reserve() and destruction every byte of the range is mapped by
//       this object: what is not placed is PROT_NONE. There is never a hole.
// [I-2] A forked child has nothing of the range.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace morsel::pmem {

/// Ownership  unmapped with the object, and no longer watched for bus errors; move-only.
/// Threads    one at a time for each range.
class AddressRange {
 public:
  AddressRange() = default;
  AddressRange(AddressRange&& other) noexcept;
  AddressRange& operator=(AddressRange&& other) noexcept;
  ~AddressRange();

  /// Takes [base, base + size_bytes), both multiples of the page size.
  /// `label` is what others are told who meet it, e.g. "morsel 'graph' of pool '/data'".
  /// Errors  kAddressTaken, naming the range or the mapping that is there; kNoMemory.
  static Result<AddressRange> Reserve(uint64_t base, uint64_t size_bytes, std::string label);

  /// Moves the mapping [mapping, mapping + size_bytes) over the range at `offset`.
  /// A failure leaves both as they were.
  /// Ownership  the mapping is the range's on success.
  Status Place(void* mapping, uint64_t offset, uint64_t size_bytes);

  /// Gives [offset, offset + size_bytes) back to PROT_NONE; what was there is unmapped, and no
  /// longer watched for bus errors.
  Status Withdraw(uint64_t offset, uint64_t size_bytes);

  /// What a fork must do, around it, so that no child is left with a lock of another thread: the
  /// child has no ranges.
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

}  // namespace morsel::pmem
