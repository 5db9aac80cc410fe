// The named roots of a morsel, by which a program finds its data again: those of the trie, and
// those of the table that older heaps have.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "alloc/heap/heap.h"
#include "base/result.h"
#include "morsel/roots/root_type.h"

namespace morsel {

/// Threads  one call at a time. Several Find() may run at once. Another process may change the
///          roots of a fine heap that is open for reading.
/// Errors   kCorrupt; kBusy: another process changes the roots all the time.
class Roots {
 public:
  explicit Roots(alloc::Heap& heap) : heap_(heap) {}

  /// Refuses a heap whose root table has a size that none has.
  Status CheckTable() const;

  struct Found {
    void* object = nullptr;  ///< nullptr: there is no such root
    RootType type{};         ///< its name lies in the heap
    bool fits = false;       ///< Fits(type, wanted)
  };
  Result<Found> Find(std::string_view name, const RootType& wanted) const;

  /// Lets the root `name` lead to `object`, whose allocation is durable, and which is of the type.
  /// Durability  on return.
  /// Errors      kInvalidArgument (the name's length); kNoSpace; kNoMemory.
  Status Set(std::string_view name, void* object, const RootType& type);

  /// Forgets the root `name`.
  /// Durability  on return.
  /// Errors      kNotFound; kInvalidArgument (the name's length).
  Status Forget(std::string_view name);

  struct Root {
    std::string name;
    void* object = nullptr;
    RootType type{};
    std::string type_name{};  ///< that of `type`, readable; that of `type` itself is empty
  };
  /// Returns all roots, sorted by name.
  Result<std::vector<Root>> All() const;

  /// Returns the addresses of the blocks that the roots themselves take, sorted.
  Result<std::vector<const void*>> Blocks() const;

  /// Checks the invariants of the layouts, and that each object lies in a live block. Calls
  /// `report` with a message for each damage. Returns how many roots there are.
  uint64_t Validate(const std::function<void(const std::string& message)>& report) const;

 private:
  template <class Read>
  auto WhileUnchanged(Read read) const;

  alloc::Heap& heap_;
};

}  // namespace morsel
