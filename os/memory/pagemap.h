// What the kernel's page tables say of this process' memory (/proc/self/pagemap).
#pragma once

#include "base/result.h"
#include "os/memory/page_set.h"

namespace morsel::pmem {

/// Threads  any.
class Pagemap {
 public:
  Pagemap() = default;
  Pagemap(Pagemap&& other) noexcept;
  Pagemap& operator=(Pagemap&& other) noexcept;
  ~Pagemap();

  /// Errors  kPermission, kNotFound, kIo: no /proc, or one that hides it.
  static Result<Pagemap> Open();

  /// Of the 2 MiB at `memory`.
  struct Subtree {
    PageSet::Pages populated;              ///< in memory or swapped out
    PageSet::Pages protected_from_writes;  ///< by userfaultfd
  };
  /// Errors  kIo.
  Result<Subtree> Read(const char* memory) const;

  /// The first page of [begin, end) that is in memory or swapped out; `end` where none is. Skips
  /// what has no page tables at once.
  /// Errors  kUnsupported, kInvalidArgument: before Linux 6.7; kIo.
  Result<const char*> FirstPopulated(const char* begin, const char* end) const;

  bool is_open() const { return file_ >= 0; }
  int descriptor() const { return file_; }

 private:
  int file_ = -1;
};

}  // namespace morsel::pmem
