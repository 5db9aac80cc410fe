// Reads from /proc/self/pagemap what the kernel's page tables say of this process' memory.
#pragma once

#include <functional>

#include "base/descriptor.h"
#include "base/result.h"
#include "os/memory/page_set.h"

namespace morsel::os {

/// Ownership  the file is closed with the object; move-only.
/// Threads    any.
class Pagemap {
 public:
  Pagemap() = default;

  /// Opens the file.
  /// Errors  kPermission, kNotFound, kIo: there is no /proc, or it does not show the file.
  static Result<Pagemap> Open();

  /// What the page tables say of 2 MiB.
  struct Subtree {
    PageSet::Pages populated;              ///< in memory or swapped out
    PageSet::Pages protected_from_writes;  ///< by userfaultfd
  };
  /// Reads the entries of the 2 MiB at `memory`.
  /// Errors  kIo.
  Result<Subtree> Read(const char* memory) const;

  /// Whether a page of [begin, end) is in memory or swapped out.
  /// Units   both are multiples of the page size.
  /// Errors  kIo.
  /// Cost    a read for each 16 MiB without one.
  Result<bool> HasAny(const char* begin, const char* end) const;

  /// The first page of [begin, end) that is in memory or swapped out; `end` if there is none.
  /// Memory without page tables is skipped as a whole.
  /// Errors  kIo, always so before Linux 6.7; kNoMemory.
  Result<const char*> FirstPopulated(const char* begin, const char* end) const;

  /// Calls visit(first, past) for the pages of [begin, end) that are in memory or swapped out, in
  /// order. Neighbours may come in several calls.
  /// Errors  as FirstPopulated(); nothing was visited if it is before Linux 6.7.
  Status ForEachPopulated(const char* begin, const char* end,
                          const std::function<void(const char*, const char*)>& visit) const;

  bool is_open() const { return file_.is_open(); }
  /// As Descriptor::number().
  int descriptor() const { return file_.number(); }
  /// For an ioctl(2) that no other file knows: that it is refused there says enough.
  int descriptor_at_open() const { return file_.number_at_open(); }

 private:
  Descriptor file_;
};

}  // namespace morsel::os
