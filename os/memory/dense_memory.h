// Memory for objects of which a process may have thousands, each of them small and used a
// little at a time, as the parts of open heaps are. They lie side by side in few pages,
// which are huge once there are many: a page for each would take an entry of the
// processor's TLB each.
#pragma once

#include <cstddef>
#include <new>

namespace morsel::os {

/// Where dense memory comes from.
class DenseSource {
 public:
  DenseSource() = default;
  virtual ~DenseSource() = default;
  DenseSource(const DenseSource&) = delete;
  DenseSource& operator=(const DenseSource&) = delete;

  /// Returns `size_bytes` at a multiple of kLineBytes, or nullptr if there is no memory.
  virtual void* Take(size_t size_bytes) = 0;
  /// Takes back what Take(size_bytes) has returned.
  virtual void Give(void* memory, size_t size_bytes) = 0;
};

/// The process' own source. What was given back stays with the process, for objects of the same
/// size. In a build for AddressSanitizer each object comes from operator new, so that it sees what
/// is used after its end.
/// Threads  any. A forked child begins with an empty one, and may give back what the parent took.
DenseSource& TheDenseSource();

/// Puts a test's source in front, from which all memory comes from now on; nullptr: the process'
/// own. What one source gave goes back to it, so that no object may live while this is called.
/// Threads  one, while no other takes or gives.
void SetDenseSourceForTest(DenseSource* source);

/// A class that derives from this has its objects in dense memory. They are made by
/// `new (std::nothrow)`, which returns nullptr if there is no memory.
struct InDenseMemory {
  static void* operator new(size_t size_bytes, const std::nothrow_t&) noexcept {
    return TheDenseSource().Take(size_bytes);
  }
  static void* operator new(size_t, void* place) noexcept { return place; }
  static void operator delete(void* memory, size_t size_bytes) noexcept {
    TheDenseSource().Give(memory, size_bytes);
  }
};

}  // namespace morsel::os
