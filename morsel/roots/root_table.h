// The table in which the roots of older heaps lie.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "alloc/heap/heap.h"
#include "morsel/roots/root_table_layout.h"

namespace morsel {

/// Reads the root table of a heap, and takes roots out of it. A heap without one has none.
/// Threads  one call at a time. Several Find() and ForEach() may run at once.
class RootTable {
 public:
  explicit RootTable(alloc::Heap& heap)
      : entries_(static_cast<RootEntry*>(heap.facts().root_table())),
        count_(heap.facts().root_table_bytes() / sizeof(RootEntry)),
        persist_(heap.facts().persist) {}

  /// Returns the object of the root `name`, or nullptr if the table has none.
  void* Find(std::string_view name) const;

  /// Removes the root `name`. Returns false if the table has none.
  /// Durability  on return.
  bool Forget(std::string_view name);

  /// Calls `visit` for each root: its entry's number and name, and its object.
  void ForEach(const std::function<void(uint64_t, std::string_view, void*)>& visit) const;

 private:
  RootEntry* EntryOf(std::string_view name) const;

  RootEntry* entries_;
  uint64_t count_;
  pmem::Persist persist_;
};

}  // namespace morsel
